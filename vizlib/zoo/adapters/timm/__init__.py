"""How the networks of timm are read."""
