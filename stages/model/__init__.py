"""The torch model, and how its output becomes tags."""
