"""Attention in shifted windows, as the Swin transformers of every library have it; names and layouts are data of each."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from vizlib.errors import MethodError
from vizlib.tracing.residuals import Port, Residual
from vizlib.tracing.token_flow import Attention, Step
from vizlib.tracing.token_grid import Grid
from vizlib.tracing.windowed_attention import Layout, WindowedSite
from vizlib.zoo.adapters.base import Adapter, Lineage, Size, Tap, check_cut, counted
from vizlib.zoo.adapters.windows import Window, spread

if TYPE_CHECKING:
    from vizlib.tracing.recorder import AttentionCall, Recording

MERGED = Window.square(2, 2)


@dataclass(frozen=True)
class WindowBlock:
    """One block: where it lies, its stage and number there, and the parts that attend and whose output meets the residual."""

    stage: int
    index: int
    path: str
    part: Any
    attention: str
    added: str

    @property
    def site(self) -> str:
        """The name of its attention."""
        return f"{self.path}.{self.attention}"


class ShiftedWindowsAdapter(Adapter):
    """Grids of windows, cells merged two by two between them, a mean read-out.

    What a window attends to in the padding beyond the image ends in the sink: it is a learned constant.
    """

    family = "swin"
    fills_patches: ClassVar[bool] = True  # whether a border that is less than a patch is filled up, not left out

    @abstractmethod
    def blocks(self) -> list[WindowBlock]:
        """Every block in the order of execution."""

    @abstractmethod
    def merges(self) -> list[str]:
        """The path of the merging before each stage but the first."""

    @abstractmethod
    def projection(self) -> torch.nn.Conv2d:
        """The convolution that cuts the patches."""

    @abstractmethod
    def layout(self, block: WindowBlock, grid: Grid) -> Layout:
        """How a block cuts its grid."""

    @abstractmethod
    def allowed(self, block: WindowBlock, grid: Grid) -> torch.Tensor | None:
        """Which keys of its window a place may see, (W, n, n), None for all: a shift brings far ends into one window."""

    def grids(self, size: Size) -> list[Grid]:
        """The grid of each stage for inputs (h, w), borders filled up to whole pairs of cells."""
        strides: Any = self.projection().stride
        cells = [(-(-side // step) if self.fills_patches else side // step) for side, step in zip(size, strides, strict=True)]
        grids = [Grid(*cells)]
        for _ in self.merges():
            grids.append(Grid(-(-grids[-1].height // 2), -(-grids[-1].width // 2)))
        return grids

    def taps(self, size: Size) -> list[Tap]:
        grids = self.grids(size)
        return [Tap(block.path, block.path, grids[block.stage]) for block in self.blocks()]

    def stride(self) -> Size | None:
        strides: Any = self.projection().stride
        factor = 2 ** len(self.merges())
        return strides[0] * factor, strides[1] * factor

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        if "lineage" in self.refusals:
            raise MethodError(self.refusals["lineage"])
        grids, blocks = self.grids(size), self.blocks()
        calls = counted(recording, len(blocks))
        steps: list[Step] = []
        for block, call in zip(reversed(blocks), reversed(calls), strict=True):
            steps.append(self._attention(call, block, grids[block.stage]))
            if block.index == 0 and block.stage:
                steps.append(self._merge(recording, block.stage, grids, windows))
        projection: Any = self.projection()
        check_cut(projection, size, grids[0], padded=self.fills_patches)
        window = Window(projection.kernel_size, projection.stride, projection.padding)
        steps.append(spread(windows, Grid(*size), grids[0], window, projection.weight.flatten(2), recording.x))
        images = calls[-1].q.shape[0] // self.layout(blocks[-1], grids[-1]).windows
        readout = torch.full((images, grids[-1].cells), 1 / grids[-1].cells, dtype=torch.float64, device=calls[-1].q.device)
        return Lineage(readout, steps)

    def forks(self) -> list[Residual]:
        return [Residual(block.site, Port(block.path, "input"), Port(f"{block.path}.{block.added}")) for block in self.blocks()]

    def window_inputs(self, windows: str) -> list[str]:
        return self.merges() if windows == "contribution" else []

    def _merge(self, recording: Recording, stage: int, grids: list[Grid], windows: str) -> Step:
        path = self.merges()[stage - 1]
        x = recording.notes.get(path, {}).get("x")
        if x is not None:
            x = x.reshape(len(x), *grids[stage - 1].shape, -1).permute(0, 3, 1, 2)
        return spread(windows, grids[stage - 1], grids[stage], MERGED, merged_weight(self.module.get_submodule(path)), x)

    def _attention(self, call: AttentionCall, block: WindowBlock, grid: Grid) -> Attention:
        layout = self.layout(block, grid)
        places = layout.places.shape[1]
        if call.q.ndim != 4 or call.q.shape[0] % layout.windows or call.q.shape[2] != places or call.k.shape[2] != places:
            raise MethodError(
                f"{block.path} ran over {tuple(call.q.shape)} where the architecture has {layout.windows} windows of {places} places, "
                "so the map would not be certain."
            )
        site = WindowedSite(
            block.site, block.stage, block.index, grid, layout.keys, call.q, call.k, call.scale, call.bias, call.v, call.output,
            call.gradient, layout=layout, allowed=self.allowed(block, grid),
        )  # fmt: skip
        return Attention(site, layout=layout)


def within_regions(grid: Grid, window: tuple[int, int], shift: tuple[int, int]) -> torch.Tensor | None:
    """The pairs of places (W, n, n) that lay side by side before a padded grid was rolled by ``shift``, by window; None without a shift."""
    if not any(shift):
        return None
    numbers = []
    for side, step, moved in zip(grid.shape, window, shift, strict=True):
        whole = torch.arange(-(-side // step) * step)
        numbers.append((whole >= len(whole) - step).long() + (whole >= len(whole) - moved).long() if moved else torch.zeros_like(whole))
    regions = 3 * numbers[0][:, None] + numbers[1][None]
    by_window = regions.unfold(0, window[0], window[0]).unfold(1, window[1], window[1]).flatten(2).flatten(0, 1)
    return by_window[:, :, None] == by_window[:, None]


def merged_weight(merge: Any) -> torch.Tensor:
    """What carries four merged cells on, (out, channels, cells): they are lined up by column, then row, then channel.

    A norm before the projection scales by its gain; its deviation scales a whole row and cancels, its mean is left out.
    """
    weight: torch.Tensor = merge.reduction.weight
    if merge.norm.normalized_shape[0] == weight.shape[1]:
        weight = weight * merge.norm.weight
    return weight.unflatten(1, (2, 2, -1)).permute(0, 3, 2, 1).flatten(2)
