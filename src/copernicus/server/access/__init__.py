"""Users, sessions, roles, bundles."""
