"""How a server's data is kept: inspected, backed up, restored, brought to a newer schema; for commands, not for the server."""
