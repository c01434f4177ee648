"""What `scripts/demo` runs: adaptive sampling of a real molecule, by a user of the three programs like any other."""
