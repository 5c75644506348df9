"""One forward pass as one picture: from pixels over patches and blocks to the logits, down to the numbers of one token."""

from __future__ import annotations

from vizlib.ui.components import register

_component = register("forward_pass")


def forward_pass(message: bytes, *, key: str) -> None:
    """Draw what ``pages/attention/forward_work.py`` packed. Choosing a token, a block and a step needs no server."""
    _component(data=message, key=key)
