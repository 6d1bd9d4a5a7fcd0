"""MLflow runs: the one place that writes to them."""
