"""Models: cards, weights, networks, adapters, and the loader."""
