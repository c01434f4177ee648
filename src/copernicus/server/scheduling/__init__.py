"""Queue order, matching, explaining. Pure."""
