"""The flows that run every night, and what follows from a shift that one of them finds."""
