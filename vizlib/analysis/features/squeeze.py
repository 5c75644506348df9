"""What the stride of keys and values does in numbers: read without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Squeeze:
    """What the stride of keys and values does in one block. ``change``: ||y' - y|| / ||y'|| over the outputs, y' with all keys.

    ``keys`` and ``all_keys`` count them, the class token included; ``saved`` is the share of multiply-adds of q k^T and the product with v
    that the stride saves.
    """

    keys: int
    all_keys: int
    change: float

    @property
    def saved(self) -> float:
        """1 - keys / all keys."""
        return 1 - self.keys / self.all_keys
