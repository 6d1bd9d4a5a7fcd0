"""What stages share, and what the registered model carries."""
