"""Multiply-adds of making tokens and of letting them attend: overlapping windows beside patches, linear attention beside full.

A multiply-add is one multiplication with the addition that follows. Norms, activations, softmax and exponentials are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.analysis.cost.cost_step import CostStep
from vizlib.analysis.receptive_field.theoretical_receptive_field import parents
from vizlib.errors import VizlibError

if TYPE_CHECKING:
    from collections.abc import Sequence


def linear_macs(tokens: int, inputs: int, outputs: int) -> int:
    """A linear layer over tokens: N C_in C_out."""
    return tokens * inputs * outputs


def attention_macs(queries: int, keys: int, width: int) -> int:
    """Softmax attention without its projections: N M C for the scores and N M C for the sums, C over all heads together."""
    return 2 * queries * keys * width


def performer_macs(tokens: int, width: int, features: int) -> int:
    """Performer attention without its projections, linear in N: features of q and k, the sums over keys, and their reading.

    2 N C m + N m C + N m C + N m. Choromanski et al. 2021, arXiv:2009.14794.
    """
    return 4 * tokens * width * features + tokens * features


def soft_split_steps(
    size: tuple[int, int],
    splits: Sequence[tuple[int, int, int]],
    *,
    channels: int = 3,
    token_width: int = 64,
    width: int = 256,
    tokens: str = "performer",
    features: int | None = None,
    mlp_ratio: float = 1.0,
) -> list[CostStep]:
    """T2T-ViT from an image (h, w) to its tokens, step by step; arXiv:2101.11986, section 3.1.

    ``splits`` holds (kernel, stride, padding) of each soft split; between each two a token transformer ("performer" or "transformer") works
    at ``token_width``, and the last one is projected to ``width``. ``features`` of a performer are token_width / 2 unless given.
    """
    if tokens not in ("performer", "transformer"):
        raise VizlibError(f"There is no token transformer {tokens!r}; there are performer and transformer.")
    features = max(token_width // 2, 1) if features is None else features
    hidden = int(token_width * mlp_ratio)
    steps: list[CostStep] = []
    for turn, split in enumerate(splits):
        size = parents(size, split).grid
        count, unfolded = size[0] * size[1], channels * split[0] ** 2
        steps.append(CostStep(f"soft split {split[0]} × {split[0]}, stride {split[1]}", size, (count, unfolded), 0))
        if turn == len(splits) - 1:
            steps.append(CostStep("projection", size, (count, width), linear_macs(count, unfolded, width)))
            break
        steps.append(CostStep("queries, keys, values", size, (count, 3 * token_width), linear_macs(count, unfolded, 3 * token_width)))
        attend = performer_macs(count, token_width, features) if tokens == "performer" else attention_macs(count, count, token_width)
        name = "performer attention" if tokens == "performer" else "softmax attention"
        steps.append(CostStep(name, size, (count, token_width), attend + linear_macs(count, token_width, token_width)))
        steps.append(CostStep("MLP", size, (count, token_width), 2 * linear_macs(count, token_width, hidden)))
        channels = token_width
    return steps


def hard_split_steps(size: tuple[int, int], patch: int, *, channels: int = 3, width: int = 256) -> list[CostStep]:
    """ViT from an image (h, w) to its tokens: patches that do not overlap, and one projection. arXiv:2010.11929."""
    grid = parents(size, (patch, patch, 0)).grid
    count, cut = grid[0] * grid[1], channels * patch**2
    cutting = CostStep(f"hard split {patch} × {patch}, stride {patch}", grid, (count, cut), 0)
    return [cutting, CostStep("projection", grid, (count, width), linear_macs(count, cut, width))]


def block_macs(tokens: int, width: int, mlp_ratio: float) -> int:
    """One transformer block on N tokens: q, k, v and output projections, attention, MLP."""
    return (
        linear_macs(tokens, width, 4 * width)
        + attention_macs(tokens, tokens, width)
        + 2 * linear_macs(tokens, width, int(width * mlp_ratio))
    )
