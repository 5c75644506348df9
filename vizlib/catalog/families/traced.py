"""Networks with attention that no adapter of their own reads: hybrids, pyramids, mobile ones."""

from __future__ import annotations

from vizlib.catalog.family import ONE_CLASSIFIER, Family

LAYERS = "whether its head can read what every block gives is found by running it on inputs of one size; give input_size="
KEYS = "whether a token can be hidden from all of its attentions is found by running it on inputs of one size; give input_size="
FAMILY = Family("traced", "traced:TracedAdapter", lacks={"two_classifiers": ONE_CLASSIFIER, "layers": LAYERS, "keys": KEYS})
