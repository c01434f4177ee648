"""The store in SQLite, through apsw."""
