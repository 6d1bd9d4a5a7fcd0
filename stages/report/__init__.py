"""HTML pages: the report of `evaluate`, and the shell that the page of a promotion extends too."""
