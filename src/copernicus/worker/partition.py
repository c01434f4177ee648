"""How free cores are split among jobs. Pure."""
