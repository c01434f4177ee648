"""Workflow module _test."""
