"""What `python -m pipelines doctor` looks at, a module a check; `check` of each is its function."""
