"""Workflow module benchmark."""
