"""MLflow versions of the registered model."""
