"""Commands that tidy up, or that repeat what was done."""
