"""Leases, heartbeats, the job book."""
