"""CvT: convolutions inside attention."""

from __future__ import annotations

from vizlib.catalog.family import NO_RELU, ONE_CLASSIFIER, ONE_HEAD, Family

FAMILY = Family(
    "cvt",
    "official.cvt:CvTAdapter",
    lacks={"relu": NO_RELU, "two_classifiers": ONE_CLASSIFIER, "layers": ONE_HEAD},
    others=("transformers.pyramids:TransformersCvtAdapter",),
)
