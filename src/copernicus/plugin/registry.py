"""Which entry points there are."""
