"""Vision transformers as other libraries and people write them, small, with the names of their parts."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from vizlib.zoo.weights import fill_random

WIDTH, HEADS, DEPTH = 24, 3, 2


class ClipBlock(nn.Module):
    """A residual block as CLIP's and open_clip's."""

    def __init__(self, *, batch_first: bool, need_weights: bool = False) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first)
        self.mlp = nn.Sequential(OrderedDict([("c_fc", nn.Linear(WIDTH, 48)), ("gelu", nn.GELU()), ("c_proj", nn.Linear(48, WIDTH))]))
        self.need_weights = need_weights

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=self.need_weights, attn_mask=attn_mask)[0]
        return x + self.mlp(self.ln_2(x))


class ClipTransformer(nn.Module):
    def __init__(self, **options: bool) -> None:
        super().__init__()
        self.batch_first = options["batch_first"]
        self.resblocks = nn.ModuleList([ClipBlock(**options) for _ in range(DEPTH)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.batch_first else x.transpose(0, 1).contiguous()
        for block in self.resblocks:
            x = block(x)
        return x if self.batch_first else x.transpose(0, 1)


class ClipTower(nn.Module):
    """The visual tower: (B, 3, 32, 32) to features (B, 10)."""

    def __init__(self, *, batch_first: bool = True, need_weights: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, 8, 8, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(WIDTH))
        self.positional_embedding = nn.Parameter(torch.zeros(17, WIDTH))
        self.ln_pre, self.ln_post = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.transformer = ClipTransformer(batch_first=batch_first, need_weights=need_weights)
        self.proj = nn.Parameter(torch.zeros(WIDTH, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(x))[:, 0]) @ self.proj


class Attend(nn.Module):
    """Attention as lucidrains writes it, the norm inside."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attend = nn.LayerNorm(WIDTH), nn.Softmax(dim=-1)
        self.to_qkv, self.to_out = nn.Linear(WIDTH, 3 * 24, bias=False), nn.Sequential(nn.Linear(24, WIDTH), nn.Dropout(0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (t.unflatten(2, (HEADS, 8)).transpose(1, 2) for t in self.to_qkv(self.norm(x)).chunk(3, dim=-1))
        weights = self.attend(torch.matmul(q, k.transpose(-1, -2)) * 8**-0.5)
        return self.to_out(torch.matmul(weights, v).transpose(1, 2).flatten(2))


class LucidTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        forward = [nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 48), nn.GELU(), nn.Linear(48, WIDTH)) for _ in range(DEPTH)]
        self.layers = nn.ModuleList([nn.ModuleList([Attend(), feed]) for feed in forward])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for attention, feed in self.layers:
            x = attention(x) + x
            x = feed(x) + x
        return self.norm(x)


class Rearrange(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


class LucidViT(nn.Module):
    """(B, 3, 32, 32) to logits (B, 7); patches by a linear layer, residuals outside the parts."""

    def __init__(self, pool: str = "cls") -> None:
        super().__init__()
        self.to_patch_embedding = nn.Sequential(Rearrange(), nn.LayerNorm(192), nn.Linear(192, WIDTH), nn.LayerNorm(WIDTH))
        self.pos_embedding, self.cls_token = nn.Parameter(torch.zeros(1, 17, WIDTH)), nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.transformer, self.mlp_head, self.pool = LucidTransformer(), nn.Linear(WIDTH, 7), pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.to_patch_embedding(x)
        x = self.transformer(torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embedding)
        return self.mlp_head(x.mean(1) if self.pool == "mean" else x[:, 0])


class EncoderViT(nn.Module):
    """Hand-written around nn.TransformerEncoder, read out by the mean of its patches."""

    def __init__(self, *, norm_first: bool = True) -> None:
        super().__init__()
        self.patches, self.positions = nn.Conv2d(3, WIDTH, 8, 8), nn.Parameter(torch.zeros(1, 16, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 48, batch_first=True, norm_first=norm_first)
        self.encoder, self.head = nn.TransformerEncoder(layer, DEPTH, enable_nested_tensor=False), nn.Linear(WIDTH, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2) + self.positions).mean(1))


def filled(module: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A module in evaluation mode, its weights filled by name."""
    fill_random(module)
    return module.eval().to(dtype)
