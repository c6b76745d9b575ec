"""Sampler processes: started, watched and ended."""
