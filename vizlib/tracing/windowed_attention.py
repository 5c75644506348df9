"""Attention inside windows of a grid, shifted or not, in memory linear in the tokens (Liu et al., Swin Transformer, 2021)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.row_vectors import summed_at
from vizlib.tracing.token_grid import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, eq=False)
class Layout:
    """Which token of a grid asks at which place of which window: ``places`` (W, n) holds its number, -1 for padding.

    Padding is a learned constant: keys and values there come from biases alone, so what attention gives it has no pixel source.
    ``key_places`` (W, m) holds the tokens of ``key_grid`` that a window's keys are, where they are not those that ask.
    """

    grid: Grid
    places: torch.Tensor = field(repr=False)
    key_grid: Grid | None = None
    key_places: torch.Tensor | None = field(default=None, repr=False)

    @classmethod
    def shifted(cls, grid: Grid, window: tuple[int, int], shift: tuple[int, int], *, pad_first: bool = False) -> Layout:
        """Windows side by side over a grid rolled up and left by ``shift``, then padded below and on the right to whole windows.

        ``pad_first`` pads before it rolls, so that padding lies in the middle of windows.
        """
        numbers = torch.arange(grid.cells).view(grid.shape)
        below, right = (-side % step for side, step in zip(grid.shape, window, strict=True))
        rolled = numbers if pad_first else numbers.roll((-shift[0], -shift[1]), (0, 1))
        padded = F.pad(rolled, (0, right, 0, below), value=-1)
        if pad_first:
            padded = padded.roll((-shift[0], -shift[1]), (0, 1))
        return cls(grid, padded.unfold(0, window[0], window[0]).unfold(1, window[1], window[1]).flatten(2).flatten(0, 1))

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return self.places.shape[0]

    @property
    def padded(self) -> bool:
        """Whether some key is no token."""
        return bool((self.sources < 0).any())

    @property
    def sources(self) -> torch.Tensor:
        """The tokens (W, m) that the keys of each window are, -1 for padding."""
        return self.places if self.key_places is None else self.key_places

    @property
    def source_grid(self) -> Grid:
        """How the tokens lie that the keys are."""
        return self.grid if self.key_grid is None else self.key_grid

    @property
    def keys(self) -> Grid:
        """What a token can attend to: the tokens, and before them one learned token where there is padding."""
        return Grid(*self.source_grid.shape, self.source_grid.prefix + int(self.padded))

    def split(self, rows: torch.Tensor) -> torch.Tensor:
        """Row vectors (B, R, N) by window: (B W, R, n), zero at padding."""
        places = self.places.to(rows.device)
        spare = F.pad(rows, (0, 1))
        return spare[..., places].transpose(1, 2).flatten(0, 1)

    def join(self, moved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Row vectors over the keys by window (B W, R, m) on the tokens again, (B, R, M), and what lay on padding, (B, R)."""
        return _placed(moved, self.sources, self.source_grid.tokens)

    def unite(self, moved: torch.Tensor) -> torch.Tensor:
        """Row vectors over the queries by window (B W, R, n) on the grid again, (B, R, N)."""
        return _placed(moved, self.places, self.grid.tokens)[0]


def _placed(moved: torch.Tensor, places: torch.Tensor, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    by_place = moved.unflatten(0, (-1, len(places))).transpose(1, 2).flatten(2)
    joined = summed_at(by_place, places.to(moved.device).flatten() + 1, tokens + 1)
    return joined[..., 1:], joined[..., 0]


@dataclass(frozen=True, eq=False)
class WindowedSite(AttentionSite):
    """Attention inside the windows of ``layout``: q (B W, h, n, d) and k (B W, h, n, d), one window after the other for each image.

    Whatever takes or gives row vectors here takes and gives them by window, as ``layout`` splits them; ``weights`` are those of the whole
    grid. ``allowed`` (W or 1, n, n) says which keys a query may see, None for all of its window.
    """

    layout: Layout = field(kw_only=True)
    allowed: torch.Tensor | None = field(default=None, kw_only=True, repr=False)

    def image(self, index: int) -> WindowedSite:
        rows = slice(index * self.layout.windows, (index + 1) * self.layout.windows)
        bias = self.bias if self.bias is None or self.bias.shape[0] == 1 else self.bias[rows]
        kept = (self.v, self.output, self.gradient, self.factor)
        v, output, gradient, factor = (None if tensor is None else tensor[rows] for tensor in kept)
        return replace(self, q=self.q[rows], k=self.k[rows], bias=bias, v=v, output=output, gradient=gradient, factor=factor)

    def weights(self, rows: Sequence[int] | torch.Tensor | None = None, heads: Sequence[int] | None = None) -> torch.Tensor:
        """Softmax rows (heads, rows, keys) of the first image over the whole grid, zero outside a row's window.

        Where there is padding, its weight is that of a learned token before the cells.
        """
        layout, device = self.layout, self.q.device
        inside = self.block_weights(slice(0, layout.windows), slice(None) if heads is None else list(heads), None)
        places, sources = layout.places.to(device), layout.sources.to(device)
        slots = torch.zeros(layout.grid.tokens + 1, dtype=torch.long, device=device)
        slots[places.flatten() + 1] = torch.arange(places.numel(), device=device)
        wanted = slots[1:] if rows is None else slots[1:][torch.as_tensor(rows, device=device)]
        window, place = wanted // places.shape[1], wanted % places.shape[1]
        window_rows = inside[window, :, place].transpose(0, 1)
        whole = window_rows.new_zeros(*window_rows.shape[:2], layout.source_grid.tokens + 1)
        whole.scatter_add_(2, (sources[window] + 1).expand_as(window_rows), window_rows)
        return whole if layout.padded else whole[..., 1:]

    def pull_uniform(self, rows: torch.Tensor) -> torch.Tensor:
        if self.allowed is None:
            return super().pull_uniform(rows)
        images = self.images // self.layout.windows
        allowed = self.allowed.to(rows.device, torch.float64).expand(self.layout.windows, -1, -1).repeat(images, 1, 1)
        return (rows / allowed.sum(-1)[:, None]) @ allowed
