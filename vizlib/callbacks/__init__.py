"""In a training loop: every so many steps the same pictures, their maps, answers and heads, to where a run is followed.

``Watch`` is called in a plain loop; ``LightningWatch`` and ``TrainerWatch`` are the callbacks of Lightning and transformers. They write
to a ``Folder``, ``TensorBoard``, ``WeightsAndBiases`` or ``MLflow``. Nothing of these packages is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vizlib.callbacks.folder import Folder, read_looks
    from vizlib.callbacks.lightning import LightningWatch
    from vizlib.callbacks.look import Look
    from vizlib.callbacks.trackers import MLflow, TensorBoard, WeightsAndBiases
    from vizlib.callbacks.trainer import TrainerWatch
    from vizlib.callbacks.watch import Watch

_HOMES = {
    "Watch": "watch",
    "Look": "look",
    "Folder": "folder",
    "read_looks": "folder",
    "TensorBoard": "trackers",
    "WeightsAndBiases": "trackers",
    "MLflow": "trackers",
    "LightningWatch": "lightning",
    "TrainerWatch": "trainer",
}
__all__ = ["Folder", "LightningWatch", "Look", "MLflow", "TensorBoard", "TrainerWatch", "Watch", "WeightsAndBiases", "read_looks"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
