"""Workflow module ensemble."""
