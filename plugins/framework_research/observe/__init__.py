"""What an agent observes of a world and its browser, in each mode."""
