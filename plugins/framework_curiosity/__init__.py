"""Intrinsic rewards: curiosity about what is new, or hard to predict."""
