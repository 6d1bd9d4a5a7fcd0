"""From challenger to champion, through the gates."""
