"""Content-addressed files: hashes, durable writes, resumable streams, cache."""
