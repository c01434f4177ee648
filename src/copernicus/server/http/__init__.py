"""HTTP: one file per noun, authentication, error mapping."""
