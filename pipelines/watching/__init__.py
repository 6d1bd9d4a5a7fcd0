"""Watches the text that is served, without labels."""
