"""Two to four models over the same images: what differs, measured. ``compare`` makes the whole comparison as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vizlib.compare.api import compare
    from vizlib.compare.result import Comparison

__all__ = ["Comparison", "compare"]


def __getattr__(name: str) -> Any:
    # Charts and words of a comparison are read where nothing may import torch.
    if name == "compare":
        from vizlib.compare.api import compare

        return compare
    if name == "Comparison":
        from vizlib.compare.result import Comparison

        return Comparison
    raise AttributeError(f"module 'vizlib.compare' has no attribute {name!r}")
