"""The checks of `python -m pipelines doctor`: one module each, with a function `check`."""
