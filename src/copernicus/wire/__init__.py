"""Sentences: request and reply messages, the endpoint table, the codec. Pure."""
