"""The registered model in MLflow: its versions, aliases and history."""
