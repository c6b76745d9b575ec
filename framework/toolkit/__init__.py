"""Building blocks for plugins: pure functions and small modules."""
