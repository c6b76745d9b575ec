"""What travels and is stored: trajectories, the state of shards, policy snapshots, tasks, seeds."""
