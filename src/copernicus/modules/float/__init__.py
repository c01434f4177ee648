"""Workflow module float."""
