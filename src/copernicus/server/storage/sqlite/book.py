"""The book in SQLite: one writer, group commit."""
