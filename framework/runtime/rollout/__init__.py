"""Environments stepped side by side by a policy."""
