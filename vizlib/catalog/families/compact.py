"""The Compact Transformers: ViT-Lite, CVT and CCT."""

from __future__ import annotations

from vizlib.catalog.family import NO_RELU, ONE_CLASSIFIER, Family

FAMILY = Family("compact", "official.compact:CompactAdapter", lacks={"relu": NO_RELU, "two_classifiers": ONE_CLASSIFIER})
