"""Pyramids of grids whose keys are gathered from windows: PVT, PVT v2, SegFormer and CvT; names and layouts are data of each."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from vizlib.errors import MethodError, ModelError
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.residuals import Port, Residual
from vizlib.tracing.token_flow import Attention, Mix, Step, ToSink, WeightedCells, WeightedWindows, Windows
from vizlib.tracing.token_grid import Grid
from vizlib.zoo.adapters.base import Adapter, Lineage, Size, Tap, counted, first_token, mean_of_cells
from vizlib.zoo.adapters.windows import Window, spread

if TYPE_CHECKING:
    from vizlib.tracing.recorder import Recording

MLP_KEPT = 0.5  # what a depth-wise convolution leaves where it is


@dataclass(frozen=True)
class PyramidBlock:
    """One block by the paths of its parts: ``attention``, what meets the residual after it (``added``), what reduces the keys.

    ``reduction`` is the convolution over the map that keys and values are made of, ``pool`` an adaptive pool before it. ``mixing`` is the
    depth-wise convolution of an MLP, with the MLP's own path, input and what meets its residual.
    """

    path: str
    attention: str
    added: str
    reduction: str | None = None
    pool: str | None = None
    mixing: str | None = None
    mlp: str = ""
    mlp_input: str = ""
    mlp_added: str = ""


@dataclass(frozen=True)
class PyramidStage:
    """One grid: the convolution that makes it, its blocks, and the learned tokens that join it."""

    embed: str
    blocks: list[PyramidBlock]
    prefix: int = 0


class PyramidAdapter(Adapter):
    """Grids made by convolutions, keys gathered from their windows; read out by a class token or by the mean of the last grid.

    The windows of a depth-wise convolution inside an MLP are weighed by the channel mean of |kernel|, or by what each cell contributed,
    and half of a token stays, or its measured share.
    """

    @abstractmethod
    def stages(self) -> list[PyramidStage]:
        """Every stage in the order of execution."""

    def part(self, path: str) -> Any:
        """The part at a path."""
        return self.module.get_submodule(path)

    def reduction_weight(self, block: PyramidBlock) -> torch.Tensor:
        """What carries a window of the map to the keys or values, (out, in, cells)."""
        weight: torch.Tensor = self.part(block.reduction or "").weight
        return weight.flatten(2)

    def grids(self, size: Size) -> list[Grid]:
        """The grid of each stage for inputs (h, w)."""
        grids, below = [], Grid(*size)
        for stage in self.stages():
            height, width = window_of(self.part(stage.embed)).count(below)
            below = Grid(height, width, stage.prefix)
            grids.append(below)
        return grids

    def key_grid(self, block: PyramidBlock, grid: Grid) -> Grid:
        """Where the keys of a block lie."""
        if block.pool is not None:
            return Grid(*_pair(self.part(block.pool).output_size), grid.prefix)
        if block.reduction is None:
            return grid
        height, width = window_of(self.part(block.reduction)).count(grid)
        return Grid(height, width, grid.prefix)

    def check_size(self, size: Size) -> None:
        if not all(self._keys_left(size)):
            works = next(side for side in range(max(size), 100_000) if all(self._keys_left((side, side))))
            raise ModelError(
                f"An input of {size[0]} x {size[1]} leaves a stage of this {type(self.module).__name__} without keys; the next square size "
                f"that works is {works}."
            )

    def _keys_left(self, size: Size) -> list[bool]:
        grids = zip(self.grids(size), self.stages(), strict=True)
        return [min(self.key_grid(stage.blocks[0], grid).shape) > 0 for grid, stage in grids]

    def taps(self, size: Size) -> list[Tap]:
        grids = zip(self.grids(size), self.stages(), strict=True)
        return [Tap(block.path, block.path, grid) for grid, stage in grids for block in stage.blocks]

    def stride(self) -> Size | None:
        steps = [window_of(self.part(stage.embed)).stride for stage in self.stages()]
        down, across = 1, 1
        for step in steps:
            down, across = down * step[0], across * step[1]
        return down, across

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        if "lineage" in self.refusals:
            raise MethodError(self.refusals["lineage"])
        grids, stages = self.grids(size), self.stages()
        calls = counted(recording, sum(len(stage.blocks) for stage in stages))
        steps: list[Step] = []
        remaining = list(calls)
        for number in reversed(range(len(stages))):
            stage, grid, below = stages[number], grids[number], grids[number - 1].without_prefix() if number else Grid(*size)
            for index in reversed(range(len(stage.blocks))):
                block = stage.blocks[index]
                gather = self._gather(recording, block, grid, windows)
                site = AttentionSite.of(remaining.pop(), block.attention, number, index, grid, gather.target if gather else grid)
                _match(site)
                steps += [*self._mixed(recording, block, grid, windows), Attention(site, gather)]
            if grid.prefix:
                steps.append(ToSink(grid))
            embed = self.part(stage.embed)
            x = noted(recording, stage.embed) if number else recording.x
            steps.append(spread(windows, below, grid.without_prefix(), window_of(embed), embed.weight.flatten(2), x))
        read = first_token if grids[-1].prefix else mean_of_cells
        return Lineage(read(calls[-1], grids[-1]), steps)

    def forks(self) -> list[Residual]:
        residuals = []
        for block in (block for stage in self.stages() for block in stage.blocks):
            residuals.append(Residual(block.attention, Port(block.path, "input"), Port(block.added)))
            if block.mixing is not None:
                residuals.append(Residual(block.mlp, Port(block.mlp_input, "input"), Port(block.mlp_added)))
        return residuals

    def window_inputs(self, windows: str) -> list[str]:
        if windows != "contribution":
            return []
        stages = self.stages()
        paths: list[str | None] = [stage.embed for stage in stages[1:]]
        for block in (block for stage in stages for block in stage.blocks):
            paths += [block.mixing, block.pool or block.reduction]
        return [path for path in paths if path is not None]

    def _gather(
        self, recording: Recording, block: PyramidBlock, grid: Grid, windows: str
    ) -> Windows | WeightedWindows | WeightedCells | None:
        if block.reduction is None:
            return None
        keys, x = self.key_grid(block, grid), noted(recording, block.pool or block.reduction)
        if block.pool is None:
            return spread(windows, grid, keys, window_of(self.part(block.reduction)), self.reduction_weight(block), x)
        even = Windows.adaptive(grid, keys)  # its weights are even, what goes through it is not
        if windows != "contribution":
            return even
        if x is None:
            raise MethodError("windows='contribution' needs what the pass did not keep of a pooling's input; take uniform.")
        carried = F.conv2d(x.detach(), self.part(block.reduction).weight.detach())
        return WeightedCells(even, carried.to(torch.float64).norm(dim=1).flatten(1))

    def _mixed(self, recording: Recording, block: PyramidBlock, grid: Grid, windows: str) -> list[Step]:
        if block.mixing is None:
            return []
        measured = recording.residual_shares.get(block.mlp)
        kept = MLP_KEPT if measured is None else measured[:, None]
        x = noted(recording, block.mixing) if windows == "contribution" else None
        return [Mix(kept, depthwise(self.part(block.mixing).weight, grid, x))]


def window_of(convolution: Any) -> Window:
    """Kernel, stride and padding of a convolution."""
    return Window(convolution.kernel_size, convolution.stride, convolution.padding)


def noted(recording: Recording, path: str) -> torch.Tensor | None:
    """The input of a part that a pass kept, None where it did not."""
    return recording.notes.get(path, {}).get("x")


def depthwise(kernel: torch.Tensor, grid: Grid, x: torch.Tensor | None) -> WeightedWindows:
    """The windows of a depth-wise convolution: cell d counts by the channel mean of |k_d|, or by |k_d x_d| over the channels of ``x``."""
    rows, columns = kernel.shape[-2:]
    padding = (rows // 2, columns // 2)
    if x is None:
        weights = kernel.detach().abs().double().mean(0).reshape(1, -1, 1).expand(1, -1, grid.cells)
    else:
        wide = F.pad(x.detach(), (padding[1], padding[1], padding[0], padding[0]))
        cells = [(row, column) for row in range(rows) for column in range(columns)]
        weights = torch.stack([_reach(wide, kernel.detach(), cell, grid) for cell in cells], 1)
    return WeightedWindows(grid, grid, (rows, columns), (1, 1), padding, weights)


def _reach(wide: torch.Tensor, kernel: torch.Tensor, cell: tuple[int, int], grid: Grid) -> torch.Tensor:
    """|k_d x_d| of one cell d of every window, (B, h w) float64, from a padded map (B, C, ..., ...)."""
    row, column = cell
    passed = wide[:, :, row : row + grid.height, column : column + grid.width] * kernel[:, 0, row, column, None, None]
    return torch.linalg.vector_norm(passed, dim=1, dtype=torch.promote_types(passed.dtype, torch.float32)).flatten(1).to(torch.float64)


def _match(site: AttentionSite) -> None:
    if site.q.ndim != 4 or (site.q.shape[2], site.k.shape[2]) != (site.query_grid.tokens, site.key_grid.tokens):
        raise MethodError(
            f"{site.name} ran over {tuple(site.q.shape)} and {tuple(site.k.shape)} where the architecture has {site.query_grid.tokens} "
            f"queries and {site.key_grid.tokens} keys, so the map would not be certain."
        )


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)
