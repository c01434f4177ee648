"""Nouns that every program shares: values, jobs, resources, edits. Pure: no clock, disk, network or chance."""
