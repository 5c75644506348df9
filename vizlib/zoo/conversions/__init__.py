"""Weights that other libraries wrote, in the layout of the network that reads them."""
