"""Networks with attention that no adapter of their own reads: hybrids, pyramids, mobile ones."""

from __future__ import annotations

from vizlib.catalog.family import ONE_CLASSIFIER, Family

LAYERS = "its head reads what the last block gives, and whether it could read that of earlier blocks is not known"
KEYS = "a token is hidden from torch's fused attention calls over whole grids, and those of this model may be written out or run in windows"
FAMILY = Family("traced", "traced:TracedAdapter", lacks={"two_classifiers": ONE_CLASSIFIER, "layers": LAYERS, "keys": KEYS})
