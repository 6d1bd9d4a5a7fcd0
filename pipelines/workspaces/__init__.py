"""Workspaces: a run's own copy of the project, and its state."""
