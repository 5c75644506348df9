"""Any other classifier: what needs no knowledge of its inside."""

from __future__ import annotations

from vizlib.catalog.family import Family

UNKNOWN = "vizlib has no adapter that knows how the model routes its tokens"
FAMILY = Family("other", "timm.convnets:PlainAdapter", lacks={"lineage": UNKNOWN, "layers": UNKNOWN, "keys": UNKNOWN})
