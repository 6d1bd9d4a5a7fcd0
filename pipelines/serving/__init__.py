"""Serves the registered model over HTTP, and follows its champion."""
