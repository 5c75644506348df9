"""Maps by brute force: every softmax of the untouched module caught by a mode of its own, whole float64 matrices, autograd for gradients.

Nothing here uses the library's recorder, sites or steps. A model is described as a chain of links, from the read-out down to the pixels:
``Attention`` names a softmax by its place in the order of execution, ``Fixed`` is a matrix (targets, sources) that is no attention. Rows
are (B, targets); mass that a matrix does not pass on is lost, which is what the library counts in its sink.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SOFTMAX = (torch.softmax, torch.Tensor.softmax, F.softmax)


@dataclass
class Caught:
    """The weights (B', h, n, m) of every attention of one pass, the gradients of the score at them, and the module's output."""

    weights: list[torch.Tensor] = field(default_factory=list)
    slopes: list[torch.Tensor] = field(default_factory=list)
    output: Any = None
    states: dict[str, torch.Tensor] = field(default_factory=dict)


class Catcher(TorchFunctionMode):
    """Keeps the result of every softmax, and writes fused attention out so that it has one."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[torch.Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self.fused(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            return self.multi_head(*args, **kwargs)
        output = func(*args, **kwargs)
        if func in _SOFTMAX and output.ndim >= 3:
            self.weights.append(output)
        return output

    def fused(self, q: Any, k: Any, v: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False, **options: Any) -> Any:
        if options.get("enable_gqa"):
            k, v = (tensor.repeat_interleave(q.shape[-3] // tensor.shape[-3], -3) for tensor in (k, v))
        scale = options.get("scale")
        scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype == torch.bool else scores + attn_mask
        self.weights.append(scores.softmax(-1))
        return self.weights[-1] @ v

    def multi_head(
        self, query: Any, key: Any, value: Any, width: int, heads: int, in_weight: Any, in_bias: Any, bias_k: Any, bias_v: Any,
        zero: bool, dropout: float, out_weight: Any, out_bias: Any, training: bool = True, key_padding_mask: Any = None,
        need_weights: bool = True, attn_mask: Any = None, **options: Any,
    ) -> Any:  # fmt: skip
        assert bias_k is None
        assert bias_v is None
        assert not zero
        assert key_padding_mask is None
        assert not (training and dropout)
        parts = in_weight.chunk(3) if in_weight is not None else [options[f"{name}_proj_weight"] for name in "qkv"]
        biases = in_bias.chunk(3) if in_bias is not None else [None] * 3
        projected = [F.linear(x, w, b) for x, w, b in zip((query, key, value), parts, biases, strict=True)]
        q, k, v = (x.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3) for x in projected)  # (B, h, n, d)
        if attn_mask is not None and attn_mask.ndim == 3:
            attn_mask = attn_mask.unflatten(0, (-1, heads))
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros(attn_mask.shape, dtype=q.dtype).masked_fill(attn_mask, float("-inf"))
        mixed = self.fused(q, k, v, attn_mask).permute(2, 0, 1, 3).flatten(2)
        return F.linear(mixed, out_weight, out_bias), self.weights[-1].mean(1) if need_weights else None


def catch(
    module: torch.nn.Module, x: torch.Tensor, score: Callable[[Any], torch.Tensor] | None = None, states: Sequence[str] = ()
) -> Caught:
    """One pass of a copy of the module; ``score`` makes one number of its output, ``states`` are paths whose outputs are kept."""
    module, caught = copy.deepcopy(module).eval(), Caught()
    for path in states:
        module.get_submodule(path).register_forward_hook(lambda _, __, out, path=path: caught.states.update({path: out}))
    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False)
    with torch.enable_grad(), Catcher() as catcher:
        caught.output = module(x.clone().requires_grad_())
    caught.weights = catcher.weights
    if score is not None:
        caught.slopes = list(torch.autograd.grad(score(caught.output), caught.weights, retain_graph=True))
    return caught


def _same(matrix: torch.Tensor) -> torch.Tensor:
    return matrix


@dataclass(frozen=True)
class Attention:
    """The softmax with this number; ``whole`` makes (B, targets, sources) of its head-fused weights (B', n, m)."""

    number: int
    whole: Callable[[torch.Tensor], torch.Tensor] = _same
    skip: bool = True
    past: torch.Tensor | None = None  # what the residual does, where it is not the identity


@dataclass(frozen=True)
class Fixed:
    """A matrix (targets, sources), or one for each image."""

    matrix: torch.Tensor


Chain = list[Attention | Fixed]


def _walk(row: torch.Tensor, chain: Chain, attend: Callable[[Attention], torch.Tensor]) -> torch.Tensor:
    row = row.double()[:, None]
    for link in chain:
        row = row @ (link.matrix.double() if isinstance(link, Fixed) else attend(link))
    return row[:, 0]


def _plus_identity(link: Attention, matrix: torch.Tensor, kept: float, passed: float) -> torch.Tensor:
    """kept I + passed A at an attention with a residual, A alone at one without."""
    return kept * _residual(link, matrix) + passed * matrix if link.skip else matrix


def _residual(link: Attention, matrix: torch.Tensor) -> torch.Tensor:
    return torch.eye(matrix.shape[1], matrix.shape[2], dtype=torch.float64) if link.past is None else link.past.double()


def rollout(caught: Caught, row: torch.Tensor, chain: Chain, kept: float = 0.5) -> torch.Tensor:
    """(B, sources): the row times kept I + (1 - kept) mean_h A, link by link."""
    return _walk(
        row, chain, lambda link: _plus_identity(link, link.whole(caught.weights[link.number].detach().double().mean(1)), kept, 1 - kept)
    )


def raw_attention(caught: Caught, row: torch.Tensor, chain: Chain, number: int) -> torch.Tensor:
    """(B, sources): the row through the attention ``number`` alone, and past every other that has a residual."""

    def attend(link: Attention) -> torch.Tensor:
        matrix = link.whole(caught.weights[link.number].detach().double().mean(1))
        past = link.skip and link.number != number
        return _residual(link, matrix)[None] if past else matrix

    return _walk(row, chain, attend)


def gradient_rollout(caught: Caught, row: torch.Tensor, chain: Chain, kept: float = 0.5) -> torch.Tensor:
    """The rollout of the rows of relu(mean_h dL/dA * A) scaled to 1; an empty row is the identity's, without a residual that of A."""

    def attend(link: Attention) -> torch.Tensor:
        weights, slope = (tensors[link.number].detach().double() for tensors in (caught.weights, caught.slopes))
        # What a mask of -100 has left is rounding: nothing that could speak.
        spoken = (torch.where(weights < 1e-30, 0.0, weights) * slope).mean(1).clamp_min(0)
        total = spoken.sum(-1, keepdim=True)
        scaled = torch.where(total > 0, spoken / total.clamp_min(1e-300), 0.0 if link.skip else weights.mean(1))
        matrix = link.whole(scaled)
        if not link.skip:
            return matrix
        silent = (link.whole((total > 0).double().expand_as(spoken) / spoken.shape[-1]).sum(-1) == 0).double()
        return _plus_identity(link, matrix + torch.diag_embed(silent), kept, 1 - kept)

    return _walk(row, chain, attend)


def relevance(caught: Caught, row: torch.Tensor, chain: Chain) -> torch.Tensor:
    """(B, sources): g R - g for R the product of I + mean_h relu(dL/dA * A)."""

    def attend(link: Attention) -> torch.Tensor:
        weights, slope = (tensors[link.number].detach().double() for tensors in (caught.weights, caught.slopes))
        return _plus_identity(link, link.whole((weights * slope).clamp_min(0).mean(1)), 1.0, 1.0)

    def bare(link: Attention) -> torch.Tensor:
        matrix = attend(link)
        return _residual(link, matrix)[None] if link.skip else torch.zeros_like(matrix)

    return _walk(row, chain, attend) - _walk(row, chain, bare)


def legrad(
    caught: Caught, paths: Sequence[str], head: Callable[[torch.Tensor], torch.Tensor], pooling: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """(B, keys): the mean over blocks of that over heads and queries of relu(d head(pooling(tokens_l)) / dA_l), one softmax a block."""
    rows = []
    for number, path in enumerate(paths):
        slope = torch.autograd.grad(head(pooling(caught.states[path])), caught.weights[number], retain_graph=True)[0]
        rows.append(slope.double().clamp_min(0).mean((1, 2)))
    return torch.stack(rows).mean(0)


def convolution(
    source: tuple[int, int],
    target: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int] = (0, 0),
    prefix: int = 0,
) -> torch.Tensor:
    """The matrix (targets, sources) of even windows over a grid, cell by cell; ``prefix`` learned tokens before both stay as they are."""
    cells = source[0] * source[1]
    matrix = torch.zeros(prefix + target[0] * target[1], prefix + cells, dtype=torch.float64)
    for token in range(prefix):
        matrix[token, token] = 1
    for row in range(target[0]):
        for column in range(target[1]):
            inside = [
                (y, x)
                for y in range(row * stride[0] - padding[0], row * stride[0] - padding[0] + kernel[0])
                for x in range(column * stride[1] - padding[1], column * stride[1] - padding[1] + kernel[1])
                if 0 <= y < source[0] and 0 <= x < source[1]
            ]
            for y, x in inside:
                matrix[prefix + row * target[1] + column, prefix + y * source[1] + x] = 1 / len(inside)
    return matrix


def patches(size: tuple[int, int], patch: tuple[int, int]) -> torch.Tensor:
    """The matrix of square patches side by side, from patch cells to pixels."""
    return convolution(size, (size[0] // patch[0], size[1] // patch[1]), patch, patch)


def without_prefix(cells: int, prefix: int) -> torch.Tensor:
    """The matrix from tokens to cells: what is on learned tokens is lost."""
    return torch.cat([torch.zeros(prefix, cells), torch.eye(cells)]).double()


def plain_chain(blocks: int, prefix: int, size: tuple[int, int], patch: tuple[int, int]) -> Chain:
    """A plain ViT: one attention over all tokens for each block, learned tokens first, patches side by side."""
    cells = (size[0] // patch[0]) * (size[1] // patch[1])
    return [*(Attention(number) for number in reversed(range(blocks))), Fixed(without_prefix(cells, prefix)), Fixed(patches(size, patch))]


def in_windows(
    shape: tuple[int, int], window: tuple[int, int], shift: tuple[int, int] = (0, 0), *, pad_first: bool = False
) -> Callable[[torch.Tensor], torch.Tensor]:
    """What makes (B, N, N) of weights (B W, n, n) in windows of a grid that is rolled by ``shift``, then padded to whole windows.

    ``pad_first`` pads before it rolls. What is paid to padding is lost.
    """
    high, wide = (-(-side // step) * step for side, step in zip(shape, window, strict=True))
    numbers = -torch.ones(high, wide, dtype=torch.long)
    plain, back = torch.arange(shape[0] * shape[1]).view(shape), (-shift[0], -shift[1])
    numbers[: shape[0], : shape[1]] = plain if pad_first else plain.roll(back, (0, 1))
    numbers = numbers.roll(back, (0, 1)) if pad_first else numbers
    order = [
        numbers[top : top + window[0], left : left + window[1]].flatten()
        for top in range(0, high, window[0])
        for left in range(0, wide, window[1])
    ]

    def whole(weights: torch.Tensor) -> torch.Tensor:
        by_image = weights.unflatten(0, (-1, len(order)))
        matrix = weights.new_zeros(len(by_image), shape[0] * shape[1], shape[0] * shape[1])
        for place, tokens in enumerate(order):
            real = tokens >= 0
            matrix[:, tokens[real][:, None], tokens[real][None]] = by_image[:, place][:, real][:, :, real]
        return matrix

    return whole


def relative_error(pixel_map: Any, expected: torch.Tensor) -> float:
    """The largest difference over the expected map's peak."""
    mine = torch.as_tensor(pixel_map).double().flatten()
    return float((mine - expected.double().flatten()).abs().max() / expected.abs().max())
