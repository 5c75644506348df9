"""How far a map can be trusted: measured on this image and this model, beside maps that know nothing."""
