"""A rollout by the norms of the weights bounds the sensitivity of a linear mixing path, checked by autograd on random chains.

A block x + sum_h A_h S x W_h is bounded by 1 + w c, w = sum_h |W_h|, c = sum_d |S_d| that of the gather (1 without one), and its rollout
keeps 1 / (1 + w c) and mixes heads by |W_h| / w; a convolution is bounded by sum_d |K_d|. The product of all these times the rollout
R[t, p] is at least the spectral norm of d out_t / d in_p.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.token_flow import Attention, WeightedWindows, walk
from vizlib.tracing.token_grid import Grid

WIDTH, HEADS = 3, 2


def spectral(weight: torch.Tensor) -> torch.Tensor:
    return torch.linalg.matrix_norm(weight, ord=2)


@dataclass(frozen=True)
class Mixing:
    """One layer: what it does to tokens (N, C), its step, its factor in the bound, and what a rollout by norms keeps and fuses."""

    run: object
    step: object
    factor: float
    kept: float = 0.0
    fuse: object = None


def convolution(source: Grid, kernel: int, stride: int, padding: int, generator: torch.Generator) -> Mixing:
    weight = torch.randn(WIDTH, WIDTH, kernel, kernel, generator=generator).double()
    sides = [(side + 2 * padding - kernel) // stride + 1 for side in source.shape]
    norms = spectral(weight.flatten(2).permute(2, 0, 1))

    def run(tokens: torch.Tensor) -> torch.Tensor:
        return F.conv2d(tokens.T.view(1, WIDTH, *source.shape), weight, stride=stride, padding=padding)[0].flatten(1).T

    shares = norms[None, :, None].expand(1, -1, sides[0] * sides[1])
    step = WeightedWindows(source, Grid(*sides), (kernel, kernel), (stride, stride), (padding, padding), shares)
    return Mixing(run, step, float(norms.sum()))


def attention(grid: Grid, reduction: int, generator: torch.Generator) -> Mixing:
    reduce = convolution(grid, reduction, reduction, 0, generator) if reduction > 1 else None
    keys = grid if reduce is None else reduce.step.target
    q, k = (torch.randn(1, HEADS, one.tokens, 4, generator=generator).double() for one in (grid, keys))
    site = AttentionSite("a", 0, 0, grid, keys, q, k, 3.0)
    values = torch.randn(HEADS, WIDTH, WIDTH, generator=generator).double() / 2
    norms = spectral(values)
    moved = float(norms.sum()) * (1 if reduce is None else reduce.factor)

    def run(tokens: torch.Tensor) -> torch.Tensor:
        carried = tokens if reduce is None else reduce.run(tokens)
        return tokens + (site.weights() @ carried @ values).sum(0)

    def fuse(weights: torch.Tensor) -> torch.Tensor:
        return (weights * (norms / norms.sum())[:, None, None]).sum(1)

    return Mixing(run, Attention(site, None if reduce is None else reduce.step), 1 + moved, 1 / (1 + moved), fuse)


@dataclass(frozen=True)
class ByNorms:
    """Each attention's own share of the residual and weights of the heads; ``even`` forgets where it looked."""

    layers: list[Mixing]
    even: bool = False

    def _layer(self, step: Attention) -> Mixing:
        return next(layer for layer in self.layers if layer.step is step)

    def residual(self, step: Attention) -> float:
        return self._layer(step).kept

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        return step.site.pull_uniform(rows) if self.even else step.site.pull(rows, self._layer(step).fuse)


def chain(seed: int) -> list[Mixing]:
    """A patch embedding, a block with reduced keys, a merge and a block with all keys, lowest first."""
    generator = torch.Generator().manual_seed(seed)
    embed = convolution(Grid(12, 16), 3, 2, 1, generator)
    first = attention(embed.step.target, 2, generator)
    merge = convolution(embed.step.target, 3, 2, 1, generator)
    return [embed, first, merge, attention(merge.step.target, 1, generator)]


def sensitivity(layers: list[Mixing]) -> torch.Tensor:
    """The spectral norm of d out_t / d in_p by autograd, (tokens out, tokens in)."""

    def run(tokens: torch.Tensor) -> torch.Tensor:
        for layer in layers:
            tokens = layer.run(tokens)
        return tokens

    start = torch.zeros(layers[0].step.source.tokens, WIDTH).double()
    return spectral(torch.autograd.functional.jacobian(run, start).permute(0, 2, 1, 3))


def rollout(layers: list[Mixing], *, even: bool = False) -> torch.Tensor:
    unit = torch.eye(layers[-1].step.target.tokens).double()[None]
    return walk(unit, [layer.step for layer in reversed(layers)], ByNorms(layers, even))[-1].rows[0]


@pytest.mark.parametrize("seed", range(4))
def test_a_rollout_by_norms_bounds_the_sensitivity_of_a_random_chain(seed: int) -> None:
    layers = chain(seed)
    factor = 1.0
    for layer in layers:
        factor *= layer.factor
    found, bound = sensitivity(layers), factor * rollout(layers)
    assert torch.allclose(rollout(layers).sum(1), torch.ones(len(found)).double(), atol=1e-12)
    reached = bound > 0
    assert (found[~reached] == 0).all()
    ratio = (found[reached] / bound[reached]).max()
    assert 0.05 < ratio <= 1 + 1e-9
    ranks = [one[reached].argsort().argsort().double() for one in (found, bound)]
    assert torch.corrcoef(torch.stack(ranks))[0, 1] > 0.5


def test_a_single_block_reaches_its_bound() -> None:
    # With one head, one channel and positive weights nothing cancels and no norm is lost: the bound is the sensitivity.
    generator = torch.Generator().manual_seed(0)
    grid = Grid(3, 4)
    q, k = (torch.randn(1, 1, 12, 4, generator=generator).double() for _ in range(2))
    site = AttentionSite("a", 0, 0, grid, grid, q, k, 1.0)
    layer = Mixing(lambda tokens: tokens + 0.8 * site.weights()[0] @ tokens, Attention(site), 1.8, 1 / 1.8, lambda weights: weights[:, 0])
    jacobian = torch.autograd.functional.jacobian(layer.run, torch.zeros(12, 1).double())[:, 0, :, 0]
    assert torch.allclose(jacobian, 1.8 * rollout([layer]), atol=1e-12)


def test_a_rollout_that_forgets_where_attention_looked_is_no_bound() -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [attention(Grid(6, 6), 1, generator) for _ in range(2)]
    factor = layers[0].factor * layers[1].factor
    assert (sensitivity(layers) <= factor * rollout(layers) + 1e-9).all()
    assert (sensitivity(layers) > factor * rollout(layers, even=True)).any()
