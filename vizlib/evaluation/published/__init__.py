"""Tests of maps as papers define them, so that a paper's table can be made again: a new one is a file here and its name below.

Read without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vizlib.errors import names_of

if TYPE_CHECKING:
    from vizlib.evaluation.published.protocol import PublishedProtocol

_IN_ORDER = (
    "chefer2021",
    "petsiuk2018",
    "samek2017",
)
PROTOCOLS: dict[str, PublishedProtocol] = {name: import_module(f"{__name__}.{name}").PROTOCOL for name in _IN_ORDER}


def published_protocol(name: str) -> PublishedProtocol:
    """The protocol of this name; MethodError with the nearest name for one that there is not."""
    names_of([name], "protocols", PROTOCOLS, "protocol")
    return PROTOCOLS[name]
