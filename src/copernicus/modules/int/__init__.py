"""Workflow module int."""
