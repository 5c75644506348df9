"""What part of the input a unit in the middle of a layer answers to: measured by gradients, and told by the architecture alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from vizlib.analysis.features.layers import read, taps
from vizlib.analysis.receptive_field.receptive_field import ReceptiveField
from vizlib.errors import MethodError
from vizlib.passes.backward import gradients_on
from vizlib.tracing.slopes import slope_at
from vizlib.zoo.adapters.part import PartAdapter
from vizlib.zoo.adapters.timm.convnets import ResNetAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vizlib.zoo.model import Model

_SILENT = (nn.Identity, nn.BatchNorm2d, nn.ReLU, nn.SiLU, nn.GELU, nn.Dropout)
_NORMS = ("BatchNormAct2d", "FrozenBatchNorm2d", "DropBlock2d", "DropPath")


def effective_receptive_fields(model: Model, x: torch.Tensor, signs: int = 1, seed: int = 0) -> list[ReceptiveField]:
    """The effective receptive field of the middle cell of every layer: ||d cell / d pixel||^2 over channels, mean over inputs (B, 3, h, w).

    The squared norm is that of the Jacobian, estimated by random signs s, E |s J|^2 = ||J||^2, ``signs`` draws an input from a local
    generator, and scaled to sum to 1. Luo et al., "Understanding the Effective Receptive Field in Deep CNNs", NeurIPS 2016,
    arXiv:1701.04128. MethodError for a layer that no pixel moves.
    """
    generator = torch.Generator().manual_seed(seed)
    with gradients_on():
        reading = read(model, x, live=True)
        fields = []
        for index, layer in enumerate(reading.layers):
            middle = layer.grid[0] // 2 * layer.grid[1] + layer.grid[1] // 2
            cell = reading.states[index][:, middle]
            energy = torch.zeros(len(cell), *layer.size, dtype=torch.float64)
            for _ in range(signs):
                sign = torch.randint(0, 2, cell.shape, generator=generator).mul(2).sub(1).to(cell)
                gradient = slope_at((cell * sign).sum(), reading.forward_pass.x, keep_graph=True)
                energy += gradient.double().square().sum(1).cpu()
            reaches = tuple(_field(layer.name, alone, layer.grid).reach for alone in energy)
            energies = tuple(float(alone.sum()) for alone in energy)
            fields.append(replace(_field(layer.name, energy.sum(0), layer.grid), reaches=reaches, energies=energies))
    return fields


def architectural_receptive_fields(model: Model, size: tuple[int, int]) -> list[ReceptiveField]:
    """What the architecture of a ResNet alone gives the middle cell of every layer, for an input (h, w): no weights and no image.

    Convolutions and pools take even shares of what their window covers inside the map, and a block is half its branch and half its skip:
    the row-stochastic walk of a rollout, whose row for the middle cell this is. MethodError for other models.
    """
    adapter = model.adapter
    prefix = f"{adapter.path}." if isinstance(adapter, PartAdapter) else ""
    if not isinstance(adapter.inner if isinstance(adapter, PartAdapter) else adapter, ResNetAdapter):
        raise MethodError(f"{model.card.display_name} is no ResNet: its attention depends on the image, so walk a rollout instead.")
    fields = []
    adapter.check_placement(size)
    with gradients_on():
        plane = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
        paths = [tap.path.removeprefix(prefix) for tap in taps(model, size)]
        for name, state in _averaged(adapter.module, plane, paths):
            grid = (int(state.shape[2]), int(state.shape[3]))
            row = slope_at(state[0, 0, grid[0] // 2, grid[1] // 2], plane, keep_graph=True)
            fields.append(_field(name, row[0, 0], grid))
    return fields


def _field(name: str, energy: torch.Tensor, grid: tuple[int, int]) -> ReceptiveField:
    total = float(energy.sum())
    if not total > 0:
        raise MethodError(f"No pixel moves the middle of {name}, so it has no receptive field.")
    height, width = energy.shape
    at = ((grid[0] // 2 + 0.5) * height / grid[0], (grid[1] // 2 + 0.5) * width / grid[1])
    return ReceptiveField((energy / total).numpy(), at)


def _averaged(module: Any, plane: torch.Tensor, paths: list[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """The averaging network that a ResNet's windows and skips make, run on one plane: the maps at ``paths``, in order."""
    activation = getattr(module, "act1", None) or module.relu
    x = plane
    for part in (module.conv1, module.bn1, activation, module.maxpool):
        x = _through(part, x)
    for number in range(1, 5):
        stage = f"layer{number}"
        for name, block in getattr(module, stage).named_children():
            x = _through(block, x)
            if f"{stage}.{name}" in paths:
                yield f"{stage}.{name}", x
        if stage in paths:
            yield stage, x


def _through(part: nn.Module, x: torch.Tensor) -> torch.Tensor:
    if isinstance(part, nn.Conv2d):
        return _windowed(part, x)
    if isinstance(part, nn.MaxPool2d):
        return _even(lambda plane: _average(part, plane), x)
    if isinstance(part, nn.AvgPool2d):
        return _even(part, x)
    if isinstance(part, _SILENT) or type(part).__name__ in _NORMS:
        return x
    if isinstance(part, nn.Sequential):
        for child in part:
            x = _through(child, x)
        return x
    if hasattr(part, "downsample") and hasattr(part, "conv2"):
        branch = x
        for name, child in part.named_children():
            branch = branch if name == "downsample" else _through(child, branch)
        return (branch + (x if part.downsample is None else _through(part.downsample, x))) / 2  # type: ignore[arg-type]
    raise MethodError(f"How a {type(part).__name__} moves places is not known, so the architecture's receptive field is not either.")


def _windowed(part: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    if isinstance(part.padding, str):
        raise MethodError("A convolution padded by name is not followed, so the architecture's receptive field is not known.")
    ones = x.new_ones(1, 1, *part.kernel_size)
    return _even(lambda plane: F.conv2d(plane, ones, None, part.stride, part.padding, part.dilation), x)


def _average(pool: nn.MaxPool2d, plane: torch.Tensor) -> torch.Tensor:
    if pool.dilation not in (1, (1, 1)):
        raise MethodError("A max-pool with gaps is not followed, so the architecture's receptive field is not known.")
    return F.avg_pool2d(plane, pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)


def _even(linear: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """A linear map of planes with its rows scaled to sum to 1."""
    return linear(x) / linear(torch.ones_like(x).detach())
