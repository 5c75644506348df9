"""Any other classifier: what needs no knowledge of its inside."""

from __future__ import annotations

from vizlib.catalog.family import Family

UNKNOWN = "where it attends is found by running it on inputs of one size, and it does not say which: give input_size="
FAMILY = Family("other", "timm.convnets:PlainAdapter", lacks={"lineage": UNKNOWN, "layers": UNKNOWN, "keys": UNKNOWN})
