"""MLflow runs; nothing else writes to them."""
