"""Entities of texts by a registered model."""
