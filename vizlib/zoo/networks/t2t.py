"""T2T-ViT: tokens built from the image by soft splits and small transformers, then a plain deep-narrow ViT.

Yuan et al., "Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet", ICCV 2021, arXiv:2101.11986.
The key layout is that of yitu-opensource/T2T-ViT, whose weights are under the Clear BSD licence (no patent rights granted).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from timm.layers import Mlp, trunc_normal_
from torch import Tensor, nn

from vizlib.errors import ModelError
from vizlib.tracing.attention_overrides import edited_features, edited_output
from vizlib.tracing.outputs import heard, note
from vizlib.zoo.networks.common import (
    Attention,
    Grid,
    check_size,
    drop_path,
    drop_path_rates,
    find_variant,
    initialise,
    make_head,
    merge_heads,
    note_tokens,
    note_windows,
    pair,
    resize_positions,
    sinusoid,
    to_map,
    window_count,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

Split = tuple[int, int, int]
"""Kernel, stride and padding of a soft split."""

SPLITS: tuple[Split, ...] = ((7, 4, 2), (3, 2, 1), (3, 2, 1))


class TokenAttention(nn.Module):
    """One-head attention from unfolded vectors (B, N, in) to tokens (B, N, out): v + proj(softmax(q k^T * in^-0.5) v).

    The skip carries v, since the unfolded input has another width; the scale is that of the input, not of the head.
    """

    def __init__(self, in_width: int, width: int, *, attn_drop: float = 0.0, drop: float = 0.0) -> None:
        super().__init__()
        self.scale = in_width**-0.5
        self.attn_drop = attn_drop
        self.qkv = nn.Linear(in_width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x)[:, None].chunk(3, dim=-1)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_drop if self.training else 0.0, scale=self.scale)
        return v[:, 0] + self.proj_drop(self.proj(merge_heads(y)))


class TokenTransformer(nn.Module):
    """The exact token transformer: (B, N, in) -> (B, N, out)."""

    def __init__(
        self, in_width: int, width: int, site: str, *, mlp_ratio: float = 1.0, attn_drop: float = 0.0, drop: float = 0.0, path: float = 0.0
    ) -> None:
        super().__init__()
        self.site = site
        self.norm1 = nn.LayerNorm(in_width)
        self.attn = TokenAttention(in_width, width, attn_drop=attn_drop, drop=drop)
        self.drop_path = drop_path(path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, int(width * mlp_ratio), drop=drop)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attn(self.norm1(x))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class TokenPerformer(nn.Module):
    """The linear-time token transformer: (B, N, in) -> (B, N, out), y = v + proj(phi(q) (phi(k)^T v) / (phi(q) sum phi(k) + epsilon)).

    phi(x) = exp(w x - |x|^2 / 2) / sqrt(m) with frozen random features w (m, out) that belong to the weights; no scale on q and k.
    Choromanski et al., "Rethinking Attention with Performers", ICLR 2021, arXiv:2009.14794.
    """

    def __init__(
        self, in_width: int, width: int, site: str, *, feature_ratio: float = 0.5, mlp_ratio: float = 1.0, drop: float = 0.1
    ) -> None:
        super().__init__()
        self.site, self.attention_site = site, f"{site}.attn"
        self.epsilon = 1e-8
        self.features = max(int(width * feature_ratio), 1)
        self.w = nn.Parameter(torch.empty(self.features, width), requires_grad=False)
        self.kqv = nn.Linear(in_width, 3 * width)
        self.drop = nn.Dropout(drop)
        self.proj = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(in_width)
        self.norm2 = nn.LayerNorm(width)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width), nn.Dropout(drop))
        nn.init.orthogonal_(self.w)
        self.w.data.mul_(self.features**0.5)

    def exponent(self, x: Tensor) -> Tensor:
        """w x - |x|^2 / 2 for every feature, (B, N, m), in float32 or better, under autocast too."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        with torch.autocast(x.device.type, enabled=False):
            return x @ self.w.to(x.dtype).T - x.square().sum(-1, keepdim=True) / 2

    def attend(self, x: Tensor) -> Tensor:
        """The attention half, v included, of normed vectors (B, N, in)."""
        k, q, v = self.kqv(x).chunk(3, dim=-1)
        log_q, log_k = edited_features(self.attention_site, self.exponent(q), self.exponent(k))
        phi_k, phi_q = (part.exp() / self.features**0.5 for part in (log_k, log_q))
        denominator = phi_q @ phi_k.sum(dim=1)[:, :, None]
        y = phi_q @ (phi_k.transpose(1, 2) @ v.to(phi_k.dtype)) / (denominator + self.epsilon)
        y = y.to(v.dtype)
        if heard():
            self._report(q, k, v, denominator, y)
        return v + self.drop(self.proj(edited_output(self.attention_site, y)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _report(self, q: Tensor, k: Tensor, v: Tensor, denominator: Tensor, y: Tensor) -> None:
        wide = torch.float32 if q.device.type == "mps" else torch.float64
        exponents = (self.exponent(part.detach().to(wide)).detach() for part in (q, k))
        safe_q, safe_k, log_scale = safe_features(*edited_features(self.attention_site, *exponents))
        forward_sum = denominator.detach().to(safe_q.dtype)[..., 0]
        note(
            self.attention_site,
            kind="performer",
            phi_q=safe_q,
            phi_k=safe_k,
            log_scale=log_scale,
            features=self.features,
            denominator=forward_sum,
            epsilon=self.epsilon,
            lost=self.epsilon / (forward_sum + self.epsilon),
            v=v,
            y=y,
        )


def safe_features(log_q: Tensor, log_k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Performer features (B, N, m) that neither under- nor overflow, from their exponents, and the (B, N) logarithm taken out of each row.

    A factor per feature moves from k to q and a factor per row is dropped: neither changes phi_q phi_k^T over its row sums.
    The best feature of each q is then 1 and so is the best k of each feature, so that no row sums to less than 1.
    """
    peak = log_k.amax(dim=1, keepdim=True)
    log_q = log_q + peak
    top = log_q.amax(dim=-1, keepdim=True)
    return (log_q - top).exp(), (log_k - peak).exp(), top[..., 0]


class TokensToToken(nn.Module):
    """Soft splits with a token transformer between each two: (B, 3, H, W) -> (B, h w, C) and the grid (h, w).

    A soft split turns each overlapping window into one vector, channel-major as ``unfold`` lays it out.
    """

    def __init__(self, in_channels: int, width: int, *, tokens: str, token_width: int, splits: Sequence[Split], drop: float) -> None:
        super().__init__()
        if tokens not in ("performer", "transformer"):
            raise ModelError(f"T2T-ViT has no token transformer called {tokens!r}: choose 'performer' or 'transformer'.")
        if not splits:
            raise ModelError("T2T-ViT needs at least one soft split.")
        self.splits = tuple(splits)
        self.split_sites = tuple(f"tokens_to_token.split{i}" for i in range(len(splits)))
        self.attention_names = tuple(f"attention{i}" for i in range(1, len(splits)))
        channels = in_channels
        for name, (kernel, _, _) in zip(self.attention_names, splits, strict=False):
            unfolded, site = channels * kernel**2, f"tokens_to_token.{name}"
            make = (
                TokenPerformer(unfolded, token_width, site)
                if tokens == "performer"
                else TokenTransformer(unfolded, token_width, site, drop=drop)
            )
            self.add_module(name, make)
            channels = token_width
        self.project = nn.Linear(channels * splits[-1][0] ** 2, width)

    def grids(self, size: Grid) -> list[Grid]:
        """The grid after each soft split."""
        grids = [size]
        for split in self.splits:
            grids.append((window_count(grids[-1][0], *split), window_count(grids[-1][1], *split)))
        return grids[1:]

    def unfold(self, x: Tensor, split: Split) -> Tensor:
        """All windows of a map (B, C, h, w) as vectors (B, windows, C kernel^2)."""
        kernel, stride, padding = split
        return F.unfold(x, kernel, padding=padding, stride=stride).transpose(1, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Grid]:
        grids = self.grids((x.shape[-2], x.shape[-1]))
        for i, name in enumerate(self.attention_names):
            note_windows(self.split_sites[i], x, *self.splits[i])
            attention = self.get_submodule(name)
            tokens = attention(self.unfold(x, self.splits[i]))
            note_tokens(attention.site, tokens, grids[i])  # type: ignore[arg-type]
            x = to_map(tokens, grids[i])
        note_windows(self.split_sites[-1], x, *self.splits[-1])
        tokens = self.project(self.unfold(x, self.splits[-1]))
        note_tokens("tokens_to_token.project", tokens, grids[-1])
        return tokens, grids[-1]


class Block(nn.Module):
    """A pre-norm transformer block: (B, N, C) -> (B, N, C)."""

    def __init__(
        self, width: int, heads: int, site: str, *, mlp_ratio: float, scale: float | None, attn_drop: float, drop: float, path: float
    ) -> None:
        super().__init__()
        self.site = site
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, scale=scale, attn_drop=attn_drop, drop=drop)
        self.drop_path = drop_path(path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, int(width * mlp_ratio), drop=drop)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, C) to tokens (B, N, C)."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class T2TViT(nn.Module):
    """Image (B, 3, H, W) -> logits (B, K); class token first, a frozen sinusoid for positions, the class token read out.

    ``splits`` holds kernel, stride and padding of each soft split; there is one token transformer fewer than splits.
    ``image_size`` sets the grid of the position table only: other images get it resized (bicubic).
    ``scale`` is that of the blocks, d^-0.5 unless given: the released weights are evaluated so.
    """

    def __init__(
        self,
        *,
        image_size: int | Grid = 224,
        in_channels: int = 3,
        num_classes: int = 1000,
        tokens: str = "performer",
        token_width: int = 64,
        splits: Sequence[Split] = SPLITS,
        width: int = 256,
        depth: int = 7,
        heads: int = 4,
        mlp_ratio: float = 2.0,
        scale: float | None = None,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes, self.num_features = num_classes, width
        self.tokens_to_token = TokensToToken(in_channels, width, tokens=tokens, token_width=token_width, splits=splits, drop=drop)
        self.image_size = pair(image_size)
        self.grid = self.grids(self.image_size)[-1]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(sinusoid(self.grid[0] * self.grid[1] + 1, width), requires_grad=False)
        self.pos_drop = nn.Dropout(drop)
        rates = drop_path_rates(drop_path, depth)
        options = {"mlp_ratio": mlp_ratio, "scale": scale, "attn_drop": attn_drop, "drop": drop}
        self.blocks = nn.ModuleList(Block(width, heads, f"blocks.{i}", path=rates[i], **options) for i in range(depth))  # type: ignore[arg-type]
        self.norm = nn.LayerNorm(width)
        self.head = make_head(width, num_classes)
        initialise(self.modules())
        trunc_normal_(self.cls_token, std=0.02)

    def grids(self, size: int | Grid) -> list[Grid]:
        """The grid after each soft split for an image of this size; sizes that leave a split without a window are refused."""
        size = pair(size)
        check_size("T2T-ViT", size, lambda side: min(self.tokens_to_token.grids((side, side))[-1]) > 0)
        return self.tokens_to_token.grids(size)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> the class token after the final norm, (B, C)."""
        self.grids((x.shape[-2], x.shape[-1]))
        x, grid = self.tokens_to_token(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = self.pos_drop(x + resize_positions(self.pos_embed, self.grid, grid, prefix=1, mode="bicubic"))
        note_tokens("pos_embed", x, grid, prefix=1)
        for block in self.blocks:
            x = block(x)
            note_tokens(block.site, x, grid, prefix=1)  # type: ignore[arg-type]
        x = self.norm(x)
        note_tokens("norm", x, grid, prefix=1)
        return x[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, K)."""
        return self.head(self.forward_features(x))


@dataclass(frozen=True)
class Variant:
    """One published configuration; ``parameters`` counts the frozen tables too."""

    width: int
    depth: int
    heads: int
    mlp_ratio: float
    parameters: int
    tokens: str = "performer"
    image_size: Grid = (224, 224)
    num_classes: int = 1000


VARIANTS: dict[str, Variant] = {
    "t2t_vit_7": Variant(256, 7, 4, 2, 4_310_222),
    "t2t_vit_10": Variant(256, 10, 4, 2, 5_889_230),
    "t2t_vit_12": Variant(256, 12, 4, 2, 6_941_902),
    "t2t_vit_14": Variant(384, 14, 6, 3, 21_545_550),
    "t2t_vit_19": Variant(448, 19, 7, 3, 39_177_422),
    "t2t_vit_24": Variant(512, 24, 8, 3, 64_105_934),
    "t2t_vit_14_384": Variant(384, 14, 6, 3, 21_691_470, image_size=(384, 384)),
    "t2t_vit_24_token_labelled": Variant(512, 24, 8, 3, 64_105_934),
    "t2t_vit_t_14": Variant(384, 14, 6, 3, 21_541_070, tokens="transformer"),
    "t2t_vit_t_19": Variant(448, 19, 7, 3, 39_172_942, tokens="transformer"),
    "t2t_vit_t_24": Variant(512, 24, 8, 3, 64_101_454, tokens="transformer"),
    "t2t_vit_14_resnext": Variant(384, 14, 32, 3, 21_545_550),
    "t2t_vit_14_wide": Variant(768, 4, 12, 3, 25_156_302),
}


def build(name: str, num_classes: int | None = None, image_size: Grid | None = None) -> T2TViT:
    """The published model of this name with fresh weights; another ``image_size`` changes the grid of its position table."""
    variant = find_variant("T2T-ViT", name, VARIANTS)
    return T2TViT(
        image_size=variant.image_size if image_size is None else image_size,
        num_classes=variant.num_classes if num_classes is None else num_classes,
        tokens=variant.tokens,
        width=variant.width,
        depth=variant.depth,
        heads=variant.heads,
        mlp_ratio=variant.mlp_ratio,
    )
