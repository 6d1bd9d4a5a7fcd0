"""The five stages: pure functions, files in, files out. They know nothing of DVC, Prefect or MLflow."""
