"""Workflow files: what they declare, read from YAML or XML, made into edits, and written from a network."""
