"""timm's Swin transformers, first and second version: attention in shifted windows, patches merged two by two, a mean read-out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.tracing.residuals import Port, Residual
from vizlib.tracing.token_flow import Attention, Step
from vizlib.tracing.token_grid import Grid
from vizlib.tracing.windowed_attention import Layout, WindowedSite
from vizlib.zoo.adapters.base import Adapter, Lineage, Size, Tap, check_cut, check_patches, counted
from vizlib.zoo.adapters.windows import Window, spread

if TYPE_CHECKING:
    from torch import nn

    from vizlib.tracing.recorder import AttentionCall, Recording

_MERGE = Window.square(2, 2)


class SwinAdapter(Adapter):
    """Four grids of windows. What a window attends to in the padding beyond the image ends in the sink: it is a learned constant."""

    family = "swin"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        reason = self._unreadable()
        if reason:
            self.refusals.setdefault("lineage", reason)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from timm.models.swin_transformer import SwinTransformer
        from timm.models.swin_transformer_v2 import SwinTransformerV2

        return isinstance(module, SwinTransformer | SwinTransformerV2)

    def check_size(self, size: Size) -> None:
        check_patches(self.module.patch_embed, size)

    def taps(self, size: Size) -> list[Tap]:
        grids = self._grids(size)
        return [Tap(path, path, grids[stage]) for stage, _, path, _ in self._blocks()]

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        if "lineage" in self.refusals:
            raise MethodError(self.refusals["lineage"])
        grids, blocks = self._grids(size), self._blocks()
        calls = counted(recording, len(blocks))
        steps: list[Step] = []
        for (stage, index, path, block), call in zip(reversed(blocks), reversed(calls), strict=True):
            steps.append(self._attention(call, path, stage, index, block, grids[stage]))
            if index == 0 and stage:
                weight, x = _merged(self._stages[stage].downsample), recording.notes.get(f"layers.{stage}.downsample", {}).get("x")
                steps.append(spread(windows, grids[stage - 1], grids[stage], _MERGE, weight, None if x is None else x.permute(0, 3, 1, 2)))
        projection: Any = self.module.patch_embed.proj  # type: ignore[union-attr]
        check_cut(projection, size, grids[0], padded=True)
        window = Window(projection.kernel_size, projection.stride, projection.padding)
        steps.append(spread(windows, Grid(*size), grids[0], window, projection.weight.flatten(2), recording.x))
        images = calls[-1].q.shape[0] // _layout(blocks[-1][3], grids[-1]).windows
        readout = torch.full((images, grids[-1].cells), 1 / grids[-1].cells, dtype=torch.float64, device=calls[-1].q.device)
        return Lineage(readout, steps)

    def forks(self) -> list[Residual]:
        return [Residual(f"{path}.attn", Port(path, "input"), Port(f"{path}.drop_path1")) for _, _, path, _ in self._blocks()]

    def window_inputs(self, windows: str) -> list[str]:
        return [f"layers.{stage}.downsample" for stage in range(1, len(self._stages))] if windows == "contribution" else []

    def _attention(self, call: AttentionCall, path: str, stage: int, index: int, block: Any, grid: Grid) -> Attention:
        layout = _layout(block, grid)
        places = layout.places.shape[1]
        if call.q.ndim != 4 or call.q.shape[0] % layout.windows or call.q.shape[2] != places or call.k.shape[2] != places:
            raise MethodError(
                f"{path} ran over {tuple(call.q.shape)} where the architecture has {layout.windows} windows of {places} places, "
                "so the map would not be certain."
            )
        site = WindowedSite(
            f"{path}.attn", stage, index, grid, layout.keys, call.q, call.k, call.scale, call.bias, call.v, call.output, call.gradient,
            layout=layout, allowed=_allowed(block, grid),
        )  # fmt: skip
        return Attention(site, layout=layout)

    @property
    def _stages(self) -> list[Any]:
        return list(self.module.layers)  # type: ignore[arg-type]

    def _blocks(self) -> list[tuple[int, int, str, Any]]:
        """Every block in the order of execution, with its stage, its number there and its path."""
        stages = enumerate(self._stages)
        return [
            (stage, index, f"layers.{stage}.blocks.{index}", block)
            for stage, stage_part in stages
            for index, block in enumerate(stage_part.blocks)
        ]

    def _grids(self, size: Size) -> list[Grid]:
        embed: Any = self.module.patch_embed
        grids = [Grid(*embed.dynamic_feat_size(size))]
        for _ in self._stages[1:]:
            grids.append(Grid(-(-grids[-1].height // 2), -(-grids[-1].width // 2)))
        return grids

    def _unreadable(self) -> str | None:
        module: Any = self.module
        if not isinstance(getattr(module.patch_embed, "proj", None), torch.nn.Conv2d):
            return f"its patches come from a {type(module.patch_embed).__name__}, whose windows this adapter does not know"
        pool = module.head.global_pool.pool_type
        if pool != "avg":
            what = f"a {pool!r} read-out, which is not a weighted mean of tokens" if pool else "no read-out"
            return f"it has {what}, so there is no row to start the rollout from"
        return None


def _layout(block: Any, grid: Grid) -> Layout:
    return Layout.shifted(grid, block.window_size, block.shift_size)


def _allowed(block: Any, grid: Grid) -> torch.Tensor | None:
    """Which keys of its window a place may see, (W, n, n), by the block's own mask: a shift brings far ends into one window."""
    padded = [-(-side // step) * step for side, step in zip(grid.shape, block.window_size, strict=True)]
    mask = block.get_attn_mask(torch.empty(1, *padded, 1))
    return None if mask is None else mask == 0


def _merged(merge: Any) -> torch.Tensor:
    """What carries four merged cells on, (out, channels, cells): timm lines them up by column, then row, then channel.

    A norm before the projection scales by its gain; its deviation scales a whole row and cancels, its mean is left out.
    """
    weight = merge.reduction.weight
    if merge.norm.normalized_shape[0] == weight.shape[1]:
        weight = weight * merge.norm.weight
    return weight.unflatten(1, (2, 2, -1)).permute(0, 3, 2, 1).flatten(2)
