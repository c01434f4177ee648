"""Users, sessions and bundles in SQLite."""
