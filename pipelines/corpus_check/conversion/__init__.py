"""Converts exports of annotation tools to the JSONL that `align` reads."""
