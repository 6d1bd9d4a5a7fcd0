"""Scores of predicted entities."""
