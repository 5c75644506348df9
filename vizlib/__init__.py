"""vizlib: see how a vision model sees."""
