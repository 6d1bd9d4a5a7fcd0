"""DVC: its stages, cache, remote and lock files."""
