"""How the gateway reaches people outside of it."""
