"""What every stage keeps to."""
