"""Long tests, of which the suite runs a fiftieth."""
