"""Measures of features: similarity, spectra, ranks, channels, pyramids."""
