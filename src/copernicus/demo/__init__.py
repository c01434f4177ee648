"""What scripts/demo runs: a user of the three programs like any other."""
