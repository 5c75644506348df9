"""One step of attention taken apart: every number with its formula; scores, temperature, scale and mask changed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("decoder_step")


def decoder_step(message: bytes, *, key: str, on_change: Callable[[], None]) -> Any:
    """Draw what ``pack_decoder_step`` packed; ``.view`` of the result is what was changed by hand, or None.

    ``.view`` is {tau, scale, mask, scores}: texts as ``seq2seq_step.Edit`` reads them. Scores, softmax and weighted sum are worked out
    in the browser; what follows from them comes with the next message.
    """
    return _component(data=message, key=key, default={"view": None}, on_view_change=on_change)
