"""Small parts that the networks of this folder share: sizes, positions, attention, initial values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.nn.functional as F
from timm.layers import DropPath, trunc_normal_
from torch import Tensor, nn

from vizlib.errors import ModelError, nearest
from vizlib.tracing.outputs import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Grid = tuple[int, int]
V = TypeVar("V")


def pair(size: int | Grid) -> Grid:
    """(h, w) of a size that may be one number."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def window_count(side: int, kernel: int, stride: int, padding: int = 0) -> int:
    """How many windows fit along a side: floor((side + 2 padding - kernel) / stride) + 1, at least 0."""
    return max((side + 2 * padding - kernel) // stride + 1, 0)


def check_size(label: str, size: Grid, works: Callable[[int], bool]) -> None:
    """Refuse an image with a side that does not work, naming the nearest sizes that do."""
    bad = [f"{name} {side}" for name, side in zip(("height", "width"), size, strict=True) if not works(side)]
    if not bad:
        return
    smaller = [next((s for s in range(side, 0, -1) if works(s)), None) for side in size]
    larger = [next((s for s in range(max(side, 1), max(side, 1) + 4096) if works(s)), None) for side in size]
    sizes = [f"{h} x {w}" for h, w in (smaller, larger) if h is not None and w is not None]
    advice = f" The nearest sizes that work: {' and '.join(dict.fromkeys(sizes))}." if sizes else ""
    raise ModelError(
        f"{label} cannot run on an image of {size[0]} x {size[1]} pixels: {' and '.join(bad)} does not fit its stages.{advice}"
    )


def find_variant(label: str, name: str, variants: Mapping[str, V]) -> V:
    """The entry of a table of variants, or an error with the nearest names."""
    if name not in variants:
        raise ModelError(f"{label} has no variant called {name!r}.{nearest(name, list(variants))}")
    return variants[name]


def rename(name: str, rules: Iterable[tuple[str, str]]) -> str:
    """A key with each (pattern, replacement) applied in turn."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def head_width(width: int, heads: int) -> int:
    """The width of one head."""
    if heads < 1 or width % heads:
        raise ModelError(f"A width of {width} cannot be split into {heads} equal heads: choose a number of heads that divides it.")
    return width // heads


def sinusoid(positions: int, width: int) -> Tensor:
    """The (1, positions, width) table sin, cos, sin, ... of position / 10000^(2 floor(j / 2) / width) (Vaswani et al. 2017)."""
    column = torch.arange(width)
    rate = 10000 ** (2 * torch.div(column, 2, rounding_mode="floor").double() / width)
    angle = torch.arange(positions).double()[:, None] / rate
    return torch.where(column % 2 == 0, angle.sin(), angle.cos()).float()[None]


def resize_positions(table: Tensor, stored: Grid, wanted: Grid, *, prefix: int, mode: str) -> Tensor:
    """A (1, prefix + h w, C) position table brought from its own grid to another; the prefix rows stay, an equal grid changes nothing."""
    if stored == wanted:
        return table
    body = table[:, prefix:].transpose(1, 2).unflatten(2, stored)
    body = F.interpolate(body, size=wanted, mode=mode)
    return torch.cat([table[:, :prefix], to_tokens(body)], dim=1)


def to_tokens(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h w, C), row by row."""
    return features.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, grid: Grid) -> Tensor:
    """(B, h w, C) -> (B, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, N, C) -> (B, heads, N, C / heads)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, heads, N, d) -> (B, N, heads d)."""
    return x.transpose(1, 2).flatten(2)


def note_tokens(site: str, tokens: Tensor, grid: Grid, prefix: int = 0) -> None:
    """Note a token state (B, prefix + h w, C) on its grid."""
    note(site, kind="tokens", tokens=tokens, grid=grid, prefix=prefix)


def note_windows(site: str, x: Tensor, kernel: int, stride: int, padding: int = 0) -> None:
    """Note the map (B, C, h, w) that windows are about to be taken from."""
    note(site, kind="window_input", x=x, kernel=kernel, stride=stride, padding=padding)


class Attention(nn.Module):
    """Self-attention over all tokens: (B, N, C) -> (B, N, C), softmax(q k^T * scale) v per head, then a projection."""

    def __init__(
        self, width: int, heads: int, *, qkv_bias: bool = False, scale: float | None = None, attn_drop: float = 0.0, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.num_heads = heads
        self.scale = head_width(width, heads) ** -0.5 if scale is None else scale
        self.attn_drop = attn_drop
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, C) to tokens (B, N, C)."""
        q, k, v = (split_heads(part, self.num_heads) for part in self.qkv(x).chunk(3, dim=-1))
        x = F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_drop if self.training else 0.0, scale=self.scale)
        return self.proj_drop(self.proj(merge_heads(x)))


def drop_path(rate: float) -> nn.Module:
    """Stochastic depth for one residual branch (Huang et al. 2016); nothing where the rate is zero."""
    return DropPath(rate) if rate > 0 else nn.Identity()


def drop_path_rates(rate: float, depth: int) -> list[float]:
    """Rates that grow linearly from 0 at the first block to ``rate`` at the last."""
    return [rate * i / max(depth - 1, 1) for i in range(depth)]


def make_head(width: int, num_classes: int) -> nn.Module:
    """The linear classifier, or the identity for a model without classes."""
    return nn.Linear(width, num_classes) if num_classes > 0 else nn.Identity()


def initialise(modules: Iterable[nn.Module]) -> None:
    """Values to train from: truncated normal for linear layers, fan-out normal for convolutions, ones and zeros elsewhere."""
    for module in modules:
        if isinstance(module, nn.Linear):
            trunc_normal_(module.weight, std=0.02)
        elif isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
