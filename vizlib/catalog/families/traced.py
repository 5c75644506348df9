"""Networks with attention that no adapter of their own reads: hybrids, pyramids, mobile ones."""

from __future__ import annotations

from vizlib.catalog.family import ONE_CLASSIFIER, Family

LAYERS = "its head reads what the last block gives, and whether it could read that of earlier blocks is not known"
KEYS = "whether a token can be hidden from all of its attentions is found by running it on inputs of one size; give input_size="
FAMILY = Family("traced", "traced:TracedAdapter", lacks={"two_classifiers": ONE_CLASSIFIER, "layers": LAYERS, "keys": KEYS})
