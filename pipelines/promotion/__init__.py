"""Promotion of a challenger to champion, through the gates."""
