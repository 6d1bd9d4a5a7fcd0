"""The sections of params.yaml, a module per stage."""
