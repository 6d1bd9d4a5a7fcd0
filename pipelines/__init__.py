"""One Prefect flow over DVC's stages, its MLflow run and the registry. Knows nothing of tensors."""
