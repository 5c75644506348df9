"""What a worker of the app does before its first order, named to it by dask's preload: the imports, and the models of the first page."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

OPENING = ("tf_efficientnet_lite0", "vit_tiny50")


def dask_setup(worker: Any) -> None:  # noqa: ARG001  called by a worker with itself
    """Begin beside the worker's own start."""
    threading.Thread(target=_wake, name="vizlib-wake", daemon=True).start()


def _wake() -> None:
    from vizlib.engine.cluster_backend import host
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.model_loading import import_vision, load_by_name
    from vizlib.zoo.cards import all_cards

    progress = Progress()
    import_vision(progress)
    cards = all_cards()
    for name in OPENING:
        if name in cards and cards[name].at_hand:
            host().models.get(name, partial(load_by_name, name, progress))
