"""The worker: announces, asks, runs, reports."""
