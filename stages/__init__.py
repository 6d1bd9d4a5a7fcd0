"""The five stages: pure functions, files in, files out; no DVC, Prefect or MLflow here."""
