"""Workflow modules; they come in through entry points."""
