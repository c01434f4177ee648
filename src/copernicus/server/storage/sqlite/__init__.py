"""The stores in SQLite, through apsw: `book` (book.sqlite) and `access` (access.sqlite), each behind its port."""
