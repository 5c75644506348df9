"""PVT: a pyramid with spatially reduced keys."""

from __future__ import annotations

from vizlib.catalog.family import NO_RELU, ONE_CLASSIFIER, ONE_HEAD, Family

FAMILY = Family(
    "pvt",
    "official.pvt:PVTAdapter",
    lacks={"relu": NO_RELU, "two_classifiers": ONE_CLASSIFIER, "layers": ONE_HEAD},
    others=("transformers.pyramids:TransformersPvtAdapter",),
)
