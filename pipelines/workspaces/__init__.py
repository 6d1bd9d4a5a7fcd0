"""A run's own copy of the project."""
