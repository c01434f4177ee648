"""Workflow module math."""
