"""Two to four models over the same images: what differs, measured. ``compare`` makes the whole comparison as data."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vizlib.compare.api import compare
    from vizlib.compare.export import save_arrays
    from vizlib.compare.report_html import write_html
    from vizlib.compare.result import Comparison

# Charts and words of a comparison are read where nothing may import torch.
_HOMES = {"Comparison": "result", "compare": "api", "save_arrays": "export", "write_html": "report_html"}
__all__ = ["Comparison", "compare", "save_arrays", "write_html"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vizlib.compare' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vizlib.compare.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
