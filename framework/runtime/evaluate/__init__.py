"""Episodes played by a policy, learned or scripted."""
