"""The test kit for authors of modules."""
