"""Checks of the machine, its packages and its servers."""
