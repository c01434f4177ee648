"""The server: owns projects, runs the workflow engine, gives out jobs."""
