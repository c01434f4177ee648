"""Files by content: hashes, durable writes, the blob folder; for server, worker and client alike."""
