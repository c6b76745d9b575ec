"""Worlds of real facts about countries."""
