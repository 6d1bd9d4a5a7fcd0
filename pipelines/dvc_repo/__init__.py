"""DVC: stages, cache, remote and lock files."""
