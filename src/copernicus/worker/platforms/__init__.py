"""Where jobs run: this host, an allocation."""
