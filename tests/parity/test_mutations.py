"""Break each quirk of each architecture in turn: the comparison with the golden logits has to notice."""

from __future__ import annotations

import types
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vizlib.zoo.networks import compact, cvt, pvt, t2t
from vizlib.zoo.networks.common import Attention, split_heads, to_tokens

Mutation = Callable[[nn.Module], None]


def each(model: nn.Module, kind: type) -> list:
    found = [module for module in model.modules() if isinstance(module, kind)]
    assert found
    return found


def set_eps(value: float, only: Callable[[str], bool] = lambda _: True) -> Mutation:
    def mutate(model: nn.Module) -> None:
        norms = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.LayerNorm) and only(name) and m.eps != value]
        assert norms
        for _, norm in norms:
            norm.eps = value

    return mutate


def set_scale(kind: type, value: Callable[[int], float]) -> Mutation:
    """Scale from the width of the projection's output instead."""

    def mutate(model: nn.Module) -> None:
        for attention in each(model, kind):
            attention.scale = value(attention.proj.in_features)

    return mutate


def set_activation(activation: nn.Module) -> Mutation:
    def mutate(model: nn.Module) -> None:
        for module in model.modules():
            for name, child in module.named_children():
                if isinstance(child, nn.GELU) or type(child).__name__ == "QuickGELU":
                    setattr(module, name, activation)

    return mutate


def swap_rows(suffix: str, order: tuple[int, ...], parts: int) -> Mutation:
    """Read a joint projection in another order of its parts."""

    def mutate(model: nn.Module) -> None:
        tensors = [p for name, p in model.named_parameters() if f".{suffix}." in name]
        assert tensors
        for tensor in tensors:
            pieces = tensor.data.chunk(parts)
            tensor.data = torch.cat([pieces[i] for i in order])

    return mutate


def replace(kind: type, method: str, function: Callable) -> Mutation:
    def mutate(model: nn.Module) -> None:
        for module in each(model, kind):
            setattr(module, method, types.MethodType(function, module))

    return mutate


# T2T-ViT


def kernel_major(self, x: Tensor, split: t2t.Split) -> Tensor:
    kernel, stride, padding = split
    windows = F.unfold(x, kernel, padding=padding, stride=stride).transpose(1, 2)
    return windows.unflatten(2, (x.shape[1], kernel**2)).transpose(2, 3).flatten(2)


def without_skip(self, x: Tensor) -> Tensor:
    return type(self).attend(self, x) - self.kqv(x).chunk(3, dim=-1)[2]


def without_attention(self, x: Tensor) -> Tensor:
    return self.kqv(x).chunk(3, dim=-1)[2]


def plain_mean(self, x: Tensor) -> Tensor:
    v = self.kqv(x).chunk(3, dim=-1)[2]
    return v + self.proj(v.mean(dim=1, keepdim=True))


def without_norm_of_x(self, x: Tensor) -> Tensor:
    return x @ self.w.T


def scaled_q_and_k(self, x: Tensor) -> Tensor:
    return type(self).exponent(self, x * x.shape[-1] ** -0.25)


def token_skip_dropped(self, x: Tensor) -> Tensor:
    return type(self).forward(self, x) - self.qkv(x).chunk(3, dim=-1)[2]


def read_mean(self, x: Tensor) -> Tensor:
    """The mean of the patch tokens instead of the class token."""
    seen = []
    hook = self.norm.register_forward_hook(lambda *args: seen.append(args[2]))
    type(self).forward(self, x)
    hook.remove()
    return self.head(seen[0][:, 1:].mean(dim=1))


def positions_shifted(model: nn.Module) -> None:
    model.pos_embed.data = model.pos_embed.data.roll(-1, dims=1)


T2T = {
    "block scale of the full width": set_scale(Attention, lambda width: width**-0.5),
    "layer norm epsilon 1e-6": set_eps(1e-6),
    "tanh GELU": set_activation(nn.GELU(approximate="tanh")),
    "kernel-major unfold": replace(t2t.TokensToToken, "unfold", kernel_major),
    "positions shifted": positions_shifted,
    "mean read-out": replace(t2t.T2TViT, "forward", read_mean),
    "blocks read k, q, v": swap_rows("attn.qkv", (1, 0, 2), 3),
}
PERFORMER = {
    "performer reads q, k, v": swap_rows("kqv", (1, 0, 2), 3),
    "no v skip": replace(t2t.TokenPerformer, "attend", without_skip),
    "attention term dropped": replace(t2t.TokenPerformer, "attend", without_attention),
    "plain mean of values": replace(t2t.TokenPerformer, "attend", plain_mean),
    "no |x|^2 / 2": replace(t2t.TokenPerformer, "exponent", without_norm_of_x),
    "q and k scaled": replace(t2t.TokenPerformer, "exponent", scaled_q_and_k),
}
TOKEN_TRANSFORMER = {
    "token scale of the head": set_scale(t2t.TokenAttention, lambda width: width**-0.5),
    "no v skip": replace(t2t.TokenAttention, "forward", token_skip_dropped),
}


# Compact Transformers


def usual_block(self, x: Tensor) -> Tensor:
    x = x + self.self_attn(self.pre_norm(x))
    return x + self.linear2(self.activation(self.linear1(self.norm1(x))))


def mean_pool(self, x: Tensor) -> Tensor:
    return x.mean(dim=1)


def first_token(self, x: Tensor) -> Tensor:
    return x[:, 0]


def column_major(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
    tokens, grid = type(self).forward(self, x)
    return tokens.unflatten(1, grid).transpose(1, 2).flatten(1, 2), grid


def without_relu(model: nn.Module) -> None:
    for layer in model.tokenizer.conv_layers:
        layer[1] = nn.Identity()


def without_pool_padding(model: nn.Module) -> None:
    for pool in each(model, compact.MaxPool):
        pool.kernel_size, pool.padding = 2, 0


COMPACT = {
    "usual pre-norm residual": replace(compact.Block, "forward", usual_block),
    "mean instead of sequence pooling": replace(compact.Classifier, "pool", mean_pool),
    "first token instead of sequence pooling": replace(compact.Classifier, "pool", first_token),
    "layer norm epsilon 1e-6": set_eps(1e-6),
    "scale of the full width": set_scale(Attention, lambda width: width**-0.5),
    "tanh GELU": set_activation(nn.GELU(approximate="tanh")),
    "column-major tokens": replace(compact.Tokenizer, "forward", column_major),
}
CCT = {"no ReLU": without_relu, "max-pool 2 without padding": without_pool_padding}


# PVT


def without_reduction_norm(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
    norm, self.norm = getattr(self, "norm", None), nn.Identity()
    reduced = type(self).reduce(self, x, grid)
    self.norm = norm
    return reduced


def positions_before_norm(self, x: Tensor) -> Tensor:
    for s in range(self.stages):
        embed, _, table = self.stage(s)
        body = table[:, int(s == self.stages - 1) :]
        embed.norm.register_forward_pre_hook(lambda _, args, body=body: (args[0] + body,))
        embed.norm.register_forward_hook(lambda _, args, out, body=body: out - body)
    return type(self).forward(self, x)


def class_token_last(self, x: Tensor) -> Tensor:
    seen = []
    hook = self.norm.register_forward_hook(lambda *args: seen.append(args[2]))
    type(self).forward(self, x)
    hook.remove()
    return self.head(seen[0][:, -1])


PVT = {
    "every epsilon 1e-6": set_eps(1e-6),
    "every epsilon 1e-5": set_eps(1e-5),
    "epsilon of the reduction norm": set_eps(1e-6, lambda name: name.endswith("attn.norm")),
    "epsilon of the patch norm": set_eps(1e-6, lambda name: "patch_embed" in name),
    "epsilon of the last norm": set_eps(1e-5, lambda name: name == "norm"),
    "values before keys": swap_rows("kv", (1, 0), 2),
    "scale of the full width": set_scale(pvt.SpatialReductionAttention, lambda width: width**-0.5),
    "no norm after the reduction": replace(pvt.SpatialReductionAttention, "reduce", without_reduction_norm),
    "tanh GELU": set_activation(nn.GELU(approximate="tanh")),
    "positions before the norm": replace(pvt.PyramidVisionTransformer, "forward", positions_before_norm),
    "class token last": replace(pvt.PyramidVisionTransformer, "forward", class_token_last),
    "mean read-out": replace(pvt.PyramidVisionTransformer, "forward", read_mean),
}


# CvT


def head_scale(model: nn.Module) -> None:
    for attention in each(model, cvt.ConvAttention):
        attention.scale = (attention.proj.in_features // attention.num_heads) ** -0.5


def normed_skip(self, x: Tensor, grid: tuple[int, int], prefix: int) -> Tensor:
    x = self.norm1(x)
    x = x + self.attn(x, grid, prefix)
    return x + self.mlp(self.norm2(x))


def class_token_only_queries(self, x: Tensor, grid: tuple[int, int], prefix: int) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = type(self).project(self, x, grid, prefix)
    return q, k[:, :, prefix:], v[:, :, prefix:]


def dense_values(self, x: Tensor, grid: tuple[int, int], prefix: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values from the linear projection of every second token, without their convolution."""
    q, k, _ = type(self).project(self, x, grid, prefix)
    features = x[:, prefix:].transpose(1, 2).unflatten(2, grid)[:, :, ::2, ::2]
    return q, k, split_heads(self.proj_v(torch.cat([x[:, :prefix], to_tokens(features)], dim=1)), self.num_heads)


def batch_statistics(model: nn.Module) -> None:
    for norm in each(model, nn.BatchNorm2d):
        norm.train()


CVT = {
    "GELU": set_activation(nn.GELU()),
    "scale of the head": head_scale,
    "normed skip": replace(cvt.Block, "forward", normed_skip),
    "class token only among the queries": replace(cvt.ConvAttention, "project", class_token_only_queries),
    "values without their convolution": replace(cvt.ConvAttention, "project", dense_values),
    "batch statistics": batch_statistics,
    "layer norm epsilon 1e-12": set_eps(1e-12),
    "layer norm epsilon 1e-6": set_eps(1e-6),
}

CASES = {
    "t2t_vit_7": T2T | PERFORMER,
    "t2t_vit_t_14": T2T | TOKEN_TRANSFORMER,
    "cct_7_3x1_32": COMPACT | CCT,
    "cvt_7_4_32": COMPACT,
    "pvt_tiny": PVT,
    "cvt_13": CVT,
    "pvt_v2_b0": {"every epsilon 1e-5": set_eps(1e-5), "tanh GELU": set_activation(nn.GELU(approximate="tanh"))},
}


@pytest.mark.parametrize(("name", "quirk"), [(name, quirk) for name, quirks in CASES.items() for quirk in quirks])
def test_missing_a_quirk_is_noticed(parity, name, quirk):
    dtype = parity.dtypes(name)[-1]
    model = parity.model(name, dtype)
    CASES[name][quirk](model)
    assert parity.error(name, model, dtype) > 1
