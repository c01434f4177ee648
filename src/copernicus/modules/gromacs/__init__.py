"""Workflow module gromacs."""
