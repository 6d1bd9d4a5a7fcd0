"""Text to tokens and windows."""
