"""What Prefect runs."""
