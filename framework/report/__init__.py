"""Views of runs and evaluations."""
