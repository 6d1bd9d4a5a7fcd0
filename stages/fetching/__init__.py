"""Downloads of files that are known by their hash."""
