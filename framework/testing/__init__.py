"""Checks and small environments for testing components."""
