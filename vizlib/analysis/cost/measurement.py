"""What one attention layer took at one resolution: read without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One layer at one resolution: ``seconds`` and ``peak_bytes`` as measured, or None and ``why`` it did not run."""

    kind: str
    fused: bool
    side: int
    seconds: float | None
    peak_bytes: int | None
    why: str = ""

    @property
    def fits(self) -> bool:
        """Whether it ran."""
        return self.seconds is not None
