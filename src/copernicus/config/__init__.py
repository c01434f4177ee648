"""Typed settings of the three programs: flags > environment > file > default; an unknown key is an error."""
