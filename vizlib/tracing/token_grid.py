"""How tokens lie on an image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """``prefix`` learned tokens (class, distillation, registers), then ``height * width`` cells row by row."""

    height: int
    width: int
    prefix: int = 0

    @property
    def cells(self) -> int:
        """The number of tokens that lie on the image."""
        return self.height * self.width

    @property
    def tokens(self) -> int:
        """The number of all tokens."""
        return self.prefix + self.cells

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.height, self.width)

    def without_prefix(self) -> Grid:
        """The same cells with no learned tokens."""
        return Grid(self.height, self.width)

    def __str__(self) -> str:
        return f"{self.prefix} + {self.height} x {self.width}" if self.prefix else f"{self.height} x {self.width}"
