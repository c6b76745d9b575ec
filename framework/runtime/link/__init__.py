"""Who collects what, and the sockets between learner and samplers."""
