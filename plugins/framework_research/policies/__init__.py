"""Policies that were not learned."""
