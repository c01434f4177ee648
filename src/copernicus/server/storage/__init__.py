"""Ports and stores."""
