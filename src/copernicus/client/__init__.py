"""The client: typed Python API and cpcc."""
