"""The learner: updates, evaluations and saved state of a run."""
