"""What makes the tokens of ViT and the Compact Transformers: windows, the pixels they cover, and the way of the maxima through the pools.

Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", 2021, arXiv:2104.05704.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vizlib.analysis.receptive_field.theoretical_receptive_field import reaches
from vizlib.errors import MethodError
from vizlib.explainers.methods.attention.rollout import RolloutRule
from vizlib.tracing.token_flow import Attention, ToSink, walk
from vizlib.zoo.adapters.part import PartAdapter, seen_by_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.analysis.receptive_field.theoretical_receptive_field import Reach
    from vizlib.passes.forward import Pass
    from vizlib.zoo.model import Model

_ROWS = 16  # tokens that are followed at once: their shares go through every channel of every pool


@dataclass(frozen=True)
class Layer:
    """One window operator of a tokeniser: kernel, stride and padding, its learnt ``parameters``, and the channels it takes and gives."""

    name: str
    window: tuple[int, int, int]
    parameters: int
    inputs: int
    outputs: int

    def connections(self, grid: tuple[int, int]) -> int:
        """How many input values its outputs on a grid (h, w) are weighed sums of, one count for each pair; 0 for a pool."""
        return grid[0] * grid[1] * self.outputs * self.inputs * self.window[0] ** 2 if self.parameters else 0


def layers(model: Model) -> list[Layer]:
    """The window operators from pixels to tokens, lowest first; MethodError for models that make their tokens in other ways."""
    module: Any = model.adapter.module
    if model.adapter.family == "compact":
        windows = []
        window, pooled = module.tokenizer.window, module.tokenizer.pool
        for index, stage in enumerate(module.tokenizer.conv_layers):
            conv = stage[0]
            count = sum(parameter.numel() for parameter in conv.parameters())
            windows.append(Layer(f"convolution {index + 1}", window, count, conv.in_channels, conv.out_channels))
            if pooled:
                pool = stage[2]
                windows.append(Layer("max-pool", (pool.kernel_size, pool.stride, pool.padding), 0, conv.out_channels, conv.out_channels))
        return windows
    projection = getattr(getattr(module, "patch_embed", None), "proj", None)
    if model.adapter.family != "vit" or not isinstance(projection, torch.nn.Conv2d):
        raise MethodError(f"The tokeniser of {model.card.name} is not read here: load a ViT or a Compact Transformer.")
    count = sum(parameter.numel() for parameter in projection.parameters())
    window = (projection.kernel_size[0], projection.stride[0], 0)
    return [Layer("patches", window, count, projection.in_channels, projection.out_channels)]


def cover(model: Model, size: tuple[int, int]) -> Reach:
    """The pixels of an input (h, w) that each token's windows take in, with the number of paths."""
    return reaches(size, [layer.window for layer in layers(model)])[-1]


def routes(forward_pass: Pass) -> torch.Tensor:
    """The share of each pixel in each token of the pass's first image: rows (tokens, h w) float64 that sum to 1.

    Windows share evenly; a max-pool follows each channel to the cell of its maximum, channels weighed by what they carry. So a token's row
    is its receptive field as this very picture uses it.
    """
    steps = forward_pass.lineage().steps
    below = [step for step in steps if not isinstance(step, Attention | ToSink)]
    count = below[0].target.cells
    rows = torch.eye(count, dtype=torch.float64, device=forward_pass.x.device).split(_ROWS)
    return torch.cat([walk(part[None], below, RolloutRule(0.5, None))[-1].rows[0] for part in rows])


def token_maps_of(model: Model) -> Callable[[torch.Tensor], torch.Tensor]:
    """The tokeniser alone, prepared inputs (B, 3, H, W) to maps (B, C, h, w), before positions and blocks."""
    module, given = _family_part(model)

    def run(x: torch.Tensor) -> torch.Tensor:
        x = given(x)
        if model.adapter.family == "compact":
            tokens, grid = module.tokenizer(x)
            return tokens.transpose(1, 2).unflatten(2, grid)
        return module.patch_embed.proj(x)

    layers(model)
    return run


def features_of(model: Model) -> Callable[[torch.Tensor], torch.Tensor]:
    """What the head reads, prepared inputs (B, 3, H, W) to (B, C); MethodError for a family that does not say it."""
    module, given = _family_part(model)
    if model.adapter.family == "compact":
        return lambda x: module.forward_features(given(x))
    if not hasattr(module, "forward_head"):
        raise MethodError(f"What the head of {model.card.name} reads is not known.")
    return lambda x: module.forward_head(module.forward_features(given(x)), pre_logits=True)


def _family_part(model: Model) -> tuple[Any, Callable[[torch.Tensor], torch.Tensor]]:
    """The module of the known family, and what it is given where prepared inputs (B, 3, H, W) go into the whole model."""
    adapter, whole = model.adapter, model.resting()
    if not isinstance(adapter, PartAdapter):
        return whole, model.cast

    def given(x: torch.Tensor) -> torch.Tensor:
        seen = seen_by_part(whole, adapter.path, model.cast(x))
        if seen is None:
            raise MethodError(f"{adapter.path} does not run as a whole on an image in {model.card.name}.")
        return seen

    return whole.get_submodule(adapter.path), given
