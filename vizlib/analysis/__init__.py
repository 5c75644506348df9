"""What can be measured on one forward pass, and what changes when parts of it are switched off."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vizlib.analysis.features.depth_answers import LogitLens, logit_lens
    from vizlib.analysis.features.forward_steps import ForwardSteps, forward_steps

_HOMES = {
    "ForwardSteps": "vizlib.analysis.features.forward_steps",
    "LogitLens": "vizlib.analysis.features.depth_answers",
    "forward_steps": "vizlib.analysis.features.forward_steps",
    "logit_lens": "vizlib.analysis.features.depth_answers",
}
__all__ = ["ForwardSteps", "LogitLens", "forward_steps", "logit_lens"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vizlib.analysis' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
