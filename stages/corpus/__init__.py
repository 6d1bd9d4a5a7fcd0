"""Labelled corpora."""
