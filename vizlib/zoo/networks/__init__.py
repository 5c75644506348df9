"""The official architectures in our own words, with the official key names."""
