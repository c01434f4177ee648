"""Workflow module openmm."""
