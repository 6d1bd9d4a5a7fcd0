"""Checks a corpus against the parameters without running a stage."""
