"""What plugin authors reuse: pure functions and small modules."""
