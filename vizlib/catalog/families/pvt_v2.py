"""PVT v2: overlapping patches and depth-wise convolutions."""

from __future__ import annotations

from vizlib.catalog.family import NO_RELU, ONE_CLASSIFIER, ONE_HEAD, Family

FAMILY = Family(
    "pvt_v2",
    "official.pvt:PVTv2Adapter",
    lacks={"relu": NO_RELU, "two_classifiers": ONE_CLASSIFIER, "layers": ONE_HEAD},
    others=(
        "transformers.pyramids:TransformersPvtV2Adapter",
        "transformers.pyramids:TransformersSegformerAdapter",
    ),
)
