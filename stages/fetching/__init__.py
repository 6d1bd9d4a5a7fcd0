"""Fetches files and checks them by their hash."""
