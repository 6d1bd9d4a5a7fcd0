"""Formats of labelled corpora, a module each."""
