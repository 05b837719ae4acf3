"""How the space is searched."""
