"""T2T-ViT: tokens by soft splits."""

from __future__ import annotations

from vizlib.catalog.family import NO_RELU, ONE_CLASSIFIER, ONE_HEAD, Family

FAMILY = Family("t2t", "official.t2t:T2TAdapter", lacks={"relu": NO_RELU, "two_classifiers": ONE_CLASSIFIER, "layers": ONE_HEAD})
