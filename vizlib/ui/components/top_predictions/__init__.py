"""A model's answers as a list with bars; where the method can explain a class, each line is a button that chooses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib import Prediction

_component = register("top_predictions")


def top_predictions(
    rows: Sequence[Prediction], chosen: int | None, *, pickable: bool, key: str, on_pick: Callable[[], None] | None = None
) -> Any:
    """Draw the list; ``.pick`` of the result is the class just chosen, else None. ``chosen`` is the class that is explained."""
    lines = [{"index": row.index, "label": row.label, "probability": row.probability} for row in rows]
    return _component(data=pack({"rows": lines, "chosen": chosen, "pickable": pickable}), key=key, on_pick_change=on_pick or _nothing)


def _nothing() -> None:
    """What follows a choice where none can be made."""
