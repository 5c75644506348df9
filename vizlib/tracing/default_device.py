"""Torch's default device: what vizlib makes for itself is made on the CPU and moved, what a module makes is made where its caller says."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_callers: ContextVar[torch.device | None] = ContextVar("vizlib_callers_device", default=None)


@contextmanager
def own_device() -> Iterator[None]:
    """Inside it the CPU is the default device, whatever the caller has set."""
    device = torch.get_default_device()
    if device.type == "cpu":
        yield
        return
    token = _callers.set(device)
    try:
        with torch.device("cpu"):
            yield
    finally:
        _callers.reset(token)


@contextmanager
def callers_device() -> Iterator[None]:
    """Inside it the default device is the caller's again, for code that is the caller's."""
    device = _callers.get()
    if device is None:
        yield
        return
    with torch.device(device):
        yield
