"""What the learner and the samplers do while a run lasts."""
