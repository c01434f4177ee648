"""Measured rows beside their limits."""
