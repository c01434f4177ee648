"""Workflow module msm."""
