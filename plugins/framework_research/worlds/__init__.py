"""What a research world is, and the corpora that worlds are drawn from."""
