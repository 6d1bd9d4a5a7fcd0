"""The sections of params.yaml, a module a stage."""
