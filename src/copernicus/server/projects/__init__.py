"""Runs the engine: event, step, store, perform effects."""
