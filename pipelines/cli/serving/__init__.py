"""Commands about the model that serves."""
