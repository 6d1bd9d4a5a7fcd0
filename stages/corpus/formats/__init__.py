"""Ways in which a labelled corpus is written: one module a format."""
