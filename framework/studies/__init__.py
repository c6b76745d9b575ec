"""Studies: runs read back, put side by side, and trained by the dozen. Nothing here imports torch."""
