"""Text to cells, tokens and windows."""
