"""The browser in which a world is researched: its state, what actions do, and what they are worth."""
