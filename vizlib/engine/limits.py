"""What one visitor may take of a server: set by its operator in variables of the environment, with defaults for a class."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

from vizlib.errors import VizlibError

SERVED_VARIABLE: Final = "VIZLIB_SERVED"  # "1": strangers come, whatever the address


@dataclass(frozen=True)
class Limits:
    """The limits of a server; each field ``name`` is the variable ``VIZLIB_LIMIT_NAME``."""

    jobs: int = 48  # jobs of one visitor, waiting and running
    light_seconds: int = 120  # seconds of one light job
    light_at_once: int = 1  # light requests that a worker has under way; on a card those of one model and method are one batch: say 16
    heavy_seconds: int = 1800  # seconds of one heavy job
    opening_seconds: int = 300  # seconds of opening a visitor's own weights
    samples: int = 5000  # samples that a link or a page may ask of a method
    side: int = 1024  # pixels of a model's input
    pixels: int = 40_000_000  # pixels of a picture handed in
    picture_mb: int = 20  # MB of a picture's file
    weights_mb: int = 200  # MB of a file with weights
    models: int = 3  # models of their own that one visitor keeps
    results_mb: int = 1024  # MB of answers that are kept for all
    unasked_visitors: int = 4  # visitors at once up to which badges are measured that nobody asked for
    idle_seconds: int = 600  # seconds that answers and pictures are kept for when nobody asks for them
    empty_seconds: int = 60  # seconds without any visitor, after which the server goes back to what it was at its start

    @classmethod
    def from_environment(cls, environment: dict[str, str] | os._Environ[str] = os.environ) -> Limits:
        """The limits that the environment sets; VizlibError, with the variable's name, for what is no whole number above 0."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            variable = f"VIZLIB_LIMIT_{field.name.upper()}"
            text = environment.get(variable)
            if text is None:
                continue
            if not text.isascii() or not text.isdecimal() or int(text) < 1:
                raise VizlibError(f"{variable} is a whole number above 0, not {text[:40]!r}.")
            values[field.name] = int(text)
        return cls(**values)


@cache
def limits() -> Limits:
    """The limits of this server, read once."""
    return Limits.from_environment()
