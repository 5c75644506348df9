"""What full, reduced and linear attention cost as the picture grows: computed in the browser, with what was measured here as dots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.analysis.cost.measurement import Measurement
    from vizlib.analysis.cost.spatial_reduction import Layer

_component = register("attention_cost")


def attention_cost(layers: Sequence[Layer], measured: Sequence[Measurement], measured_stage: int, free: int, *, key: str) -> None:
    """Draw the chart for the layers of each stage; ``free`` is the memory in bytes that full attention would have to fit into."""
    header: dict[str, Any] = {
        "layers": [vars(layer) for layer in layers],
        "measured": [vars(timing) for timing in measured],
        "stage": measured_stage,
        "free": free,
    }
    _component(data=pack(header), key=key)
