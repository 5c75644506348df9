"""Pyramid vision transformers: PVT (our own module) and PVT v2 (timm's)."""

from __future__ import annotations

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
    from torch import nn

    from vizlib.tracing.recorder import Recording

_MLP_KEPT = 0.5  # the share of a token that PVT v2's depth-wise convolution leaves where it is


class PVTAdapter(Adapter):
    """Four grids; keys are gathered from R x R blocks; a class token joins in the last stage."""

    family = "pvt"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from vizlib.zoo.networks.pvt import PyramidVisionTransformer

        return isinstance(module, PyramidVisionTransformer)

    def check_size(self, size: Size) -> None:
        module: Any = self.module
        module.grids(size)

    def taps(self, size: Size) -> list[Tap]:
        return [
            Tap(f"block{stage + 1}.{index}", f"block{stage + 1}.{index}", grid)
            for stage, grid in enumerate(self._grids(size))
            for index in range(self._depths[stage])
        ]

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        module: Any = self.module
        depths, grids = self._depths, self._grids(size)
        calls = counted(recording, sum(depths))
        steps: list[Step] = []
        for stage in reversed(range(len(grids))):
            grid, ratio = grids[stage], module.reductions[stage]
            keys = Grid(grid.height // ratio, grid.width // ratio, grid.prefix)
            embed, blocks, _ = module.stage(stage)
            for index in reversed(range(depths[stage])):
                attention = blocks[index].attn
                gather = None
                if ratio > 1:
                    x = recording.notes[attention.site]["x"]
                    gather = spread(windows, grid, keys, Window.square(ratio, ratio), attention.sr.weight.flatten(2), x)
                call = calls[sum(depths[:stage]) + index]
                steps.append(Attention(AttentionSite.of(call, f"block{stage + 1}.{index}.attn", stage, index, grid, keys), gather))
            if grid.prefix:
                steps.append(ToSink(grid))
            below = Grid(*size) if stage == 0 else grids[stage - 1]
            patch = Window.square(module.patches[stage], module.patches[stage])
            x = recording.notes[embed.window_site]["x"]
            steps.append(spread(windows, below, grid.without_prefix(), patch, embed.proj.weight.flatten(2), x))
        return Lineage(first_token(calls[-1], grids[-1]), steps)

    def forks(self) -> list[Residual]:
        blocks = (f"block{stage + 1}.{index}" for stage, depth in enumerate(self._depths) for index in range(depth))
        return [Residual(f"{block}.attn", Port(block, "input"), Port(f"{block}.attn")) for block in blocks]

    @property
    def _depths(self) -> list[int]:
        module: Any = self.module
        return [len(module.stage(stage)[1]) for stage in range(module.stages)]

    def _grids(self, size: Size) -> list[Grid]:
        module: Any = self.module
        shapes = module.grids(size)
        return [Grid(height, width, int(stage == len(shapes) - 1)) for stage, (height, width) in enumerate(shapes)]


class PVTv2Adapter(Adapter):
    """Overlapping patches, a mean read-out, and an MLP whose 3 x 3 depth-wise convolution mixes places as well.

    Linear attention gathers by adaptive average pooling, the other kind from R x R blocks. The convolution's windows are weighed by the
    channel mean of |kernel|, or by what each cell contributed, and half of a token stays, or its measured share.
    """

    family = "pvt_v2"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from timm.models.pvt_v2 import PyramidVisionTransformerV2

        return isinstance(module, PyramidVisionTransformerV2)

    def check_size(self, size: Size) -> None:
        if not all(self._keys_left(size)):
            works = next(side for side in range(max(size), 100_000) if all(self._keys_left((side, side))))
            raise ModelError(
                f"An input of {size[0]} x {size[1]} leaves a stage of this PVT v2 without keys; the next square size that works is {works}."
            )

    def _keys_left(self, size: Size) -> list[bool]:
        grids = self._grids(size)
        return [min(keys.shape) > 0 for grid, blocks in zip(grids, self._stages, strict=True) for keys in [_key_grid(blocks[0].attn, grid)]]

    def taps(self, size: Size) -> list[Tap]:  # noqa: ARG002
        # timm's blocks give (B, N, C) inside a stage; a stage itself gives (B, C, h, w).
        return [Tap(f"stages.{stage}", f"stages.{stage}") for stage in range(len(self._stages))]

    def feature_layer(self) -> str:
        return f"stages.{len(self._stages) - 1}"

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        grids = self._grids(size)
        depths = [len(blocks) for blocks in self._stages]
        calls = counted(recording, sum(depths))
        steps: list[Step] = []
        for stage in reversed(range(len(grids))):
            grid, below = grids[stage], Grid(*size) if stage == 0 else grids[stage - 1]
            for index in reversed(range(depths[stage])):
                block: Any = self._stages[stage][index]
                path = f"stages.{stage}.blocks.{index}"
                gather = _gather(block.attn, grid, windows, *(_input(recording, f"{path}.attn.{part}") for part in ("pool", "sr")))
                keys = grid if gather is None else gather.target
                call = calls[sum(depths[:stage]) + index]
                site = AttentionSite.of(call, f"{path}.attn", stage, index, grid, keys)
                measured = recording.residual_shares.get(f"{path}.mlp")
                kept = _MLP_KEPT if measured is None else measured[:, None]
                mixed = _input(recording, f"{path}.mlp.dwconv") if windows == "contribution" else None
                steps += [Mix(kept, _depthwise(block.mlp.dwconv.weight, grid, mixed)), Attention(site, gather)]
            projection = self._embeds[stage].proj
            x = recording.x if stage == 0 else _input(recording, f"stages.{stage}.downsample.proj")
            steps.append(spread(windows, below, grid, Window(*_window(projection)), projection.weight.flatten(2), x))
        return Lineage(mean_of_cells(calls[-1], grids[-1]), steps)

    def forks(self) -> list[Residual]:
        residuals = []
        for stage, blocks in enumerate(self._stages):
            for block in (f"stages.{stage}.blocks.{index}" for index in range(len(blocks))):
                residuals += [Residual(f"{block}.attn", Port(block, "input"), Port(f"{block}.drop_path1"))]
                residuals += [Residual(f"{block}.mlp", Port(f"{block}.norm2", "input"), Port(f"{block}.drop_path2"))]
        return residuals

    def window_inputs(self, windows: str) -> list[str]:
        if windows != "contribution":
            return []
        paths = [f"stages.{stage}.downsample.proj" for stage in range(1, len(self._stages))]
        for stage, blocks in enumerate(self._stages):
            for index, block in enumerate(blocks):
                path, reduction = f"stages.{stage}.blocks.{index}", "pool" if block.attn.pool is not None else "sr"
                paths += [f"{path}.mlp.dwconv"] + ([f"{path}.attn.{reduction}"] if getattr(block.attn, reduction) is not None else [])
        return paths

    @property
    def _stages(self) -> list[Any]:
        stages: Any = self.module.stages
        return [stage.blocks for stage in stages]

    @property
    def _embeds(self) -> list[Any]:
        module: Any = self.module
        return [module.patch_embed, *(stage.downsample for stage in module.stages[1:])]

    def _grids(self, size: Size) -> list[Grid]:
        grids, shape = [], size
        for embed in self._embeds:
            kernel, stride, padding = _window(embed.proj)
            shape = tuple((side + 2 * p - k) // s + 1 for side, k, s, p in zip(shape, kernel, stride, padding, strict=True))  # type: ignore[assignment]
            grids.append(Grid(*shape))
        return grids


def _window(convolution: Any) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    return convolution.kernel_size, convolution.stride, convolution.padding


def _input(recording: Recording, path: str) -> torch.Tensor | None:
    return recording.notes.get(path, {}).get("x")


def _gather(
    attention: Any, grid: Grid, windows: str, pooled: torch.Tensor | None, convolved: torch.Tensor | None
) -> Windows | WeightedWindows | WeightedCells | None:
    if attention.pool is not None:
        even = Windows.adaptive(grid, _key_grid(attention, grid))  # its weights are even, what goes through it is not
        if windows != "contribution":
            return even
        if pooled is None:
            raise MethodError("windows='contribution' needs what the pass did not keep of a pooling's input; take uniform.")
        carried = F.conv2d(pooled.detach(), attention.sr.weight.detach())
        return WeightedCells(even, carried.to(torch.float64).norm(dim=1).flatten(1))
    if attention.sr is None:
        return None
    return spread(windows, grid, _key_grid(attention, grid), Window(*_window(attention.sr)), attention.sr.weight.flatten(2), convolved)


def _key_grid(attention: Any, grid: Grid) -> Grid:
    if attention.pool is not None:
        return Grid(*_pair(attention.pool.output_size))
    if attention.sr is None:
        return grid
    return Grid(*(side // step for side, step in zip(grid.shape, attention.sr.stride, strict=True)))


def _depthwise(kernel: torch.Tensor, grid: Grid, x: torch.Tensor | None) -> WeightedWindows:
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


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)
