"""vizlib: see how a vision model sees.

Nothing heavy is imported until it is needed: reading cards costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vizlib.errors import (
    AuditError,
    CancelledError,
    CheckpointError,
    DeviceError,
    DownloadError,
    ExamError,
    ImageError,
    MethodError,
    ModelError,
    TargetError,
    TextError,
    TrainingError,
    VizlibError,
)

if TYPE_CHECKING:
    from vizlib.auditing.api import audit
    from vizlib.auditing.result import Audit
    from vizlib.catalog.methods import MethodCard
    from vizlib.evaluation.api import evaluate
    from vizlib.evaluation.score import Score
    from vizlib.explainers.api import explain, predict, replay, trace
    from vizlib.explainers.explanation import Explanation
    from vizlib.explainers.prediction import Prediction
    from vizlib.explainers.similarity import says, similar_to
    from vizlib.geometry import Geometry, Transform
    from vizlib.images import read_image
    from vizlib.passes.forward import Trace
    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.zoo.adapters.plain_vit import PlainViT
    from vizlib.zoo.cards import ModelCard
    from vizlib.zoo.load import load, wrap
    from vizlib.zoo.model import Model
    from vizlib.zoo.user_code import load_code

__version__ = "0.1.0"

_HOMES = {
    "load": "vizlib.zoo.load",
    "wrap": "vizlib.zoo.load",
    "load_code": "vizlib.zoo.user_code",
    "read_image": "vizlib.images",
    "predict": "vizlib.explainers.api",
    "trace": "vizlib.explainers.api",
    "explain": "vizlib.explainers.api",
    "replay": "vizlib.explainers.api",
    "says": "vizlib.explainers.similarity",
    "similar_to": "vizlib.explainers.similarity",
    "Prediction": "vizlib.explainers.prediction",
    "audit": "vizlib.auditing.api",
    "Audit": "vizlib.auditing.result",
    "evaluate": "vizlib.evaluation.api",
    "Score": "vizlib.evaluation.score",
    "Explanation": "vizlib.explainers.explanation",
    "Geometry": "vizlib.geometry",
    "Transform": "vizlib.geometry",
    "MethodCard": "vizlib.catalog.methods",
    "ModelCard": "vizlib.zoo.cards",
    "Model": "vizlib.zoo.model",
    "Trace": "vizlib.passes.forward",
    "PlainViT": "vizlib.zoo.adapters.plain_vit",
    "AttentionSite": "vizlib.tracing.attention_site",
}
__all__ = [
    "AttentionSite", "Audit", "AuditError", "CancelledError", "CheckpointError", "DeviceError", "DownloadError", "ExamError",
    "Explanation", "Geometry", "ImageError", "MethodCard", "MethodError", "Model", "ModelCard", "ModelError", "PlainViT", "Prediction",
    "Score", "TargetError", "TextError", "Trace", "TrainingError", "Transform", "VizlibError", "audit", "evaluate", "explain", "load",
    "load_code", "methods", "models", "predict", "read_image", "replay", "says", "similar_to", "trace", "wrap",
]  # fmt: skip


def models() -> list[ModelCard]:
    """The cards of all known models, the bundled ones first; any other timm name loads too."""
    from vizlib.zoo.cards import all_cards

    return list(all_cards().values())


def methods() -> list[MethodCard]:
    """The cards of all explanation methods."""
    from vizlib.catalog.methods import METHODS

    return list(METHODS.values())


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vizlib' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
