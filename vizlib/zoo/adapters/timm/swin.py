"""timm's Swin transformers, first and second version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.tracing.windowed_attention import Layout
from vizlib.zoo.adapters.base import Size, check_patches
from vizlib.zoo.adapters.shifted_windows import ShiftedWindowsAdapter, WindowBlock

if TYPE_CHECKING:
    from torch import nn

    from vizlib.tracing.token_grid import Grid


class SwinAdapter(ShiftedWindowsAdapter):
    """timm rolls a grid before it pads it, and takes windows that need not be square."""

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

    def blocks(self) -> list[WindowBlock]:
        return [
            WindowBlock(stage, index, f"layers.{stage}.blocks.{index}", block, "attn", "drop_path1")
            for stage, part in enumerate(self._stages)
            for index, block in enumerate(part.blocks)
        ]

    def merges(self) -> list[str]:
        return [f"layers.{stage}.downsample" for stage in range(1, len(self._stages))]

    def projection(self) -> torch.nn.Conv2d:
        embed: Any = self.module.patch_embed
        return embed.proj

    def layout(self, block: WindowBlock, grid: Grid) -> Layout:
        return Layout.shifted(grid, block.part.window_size, block.part.shift_size)

    def allowed(self, block: WindowBlock, grid: Grid) -> torch.Tensor | None:
        padded = [-(-side // step) * step for side, step in zip(grid.shape, block.part.window_size, strict=True)]
        mask = block.part.get_attn_mask(torch.empty(1, *padded, 1))
        return None if mask is None else mask == 0

    @property
    def _stages(self) -> list[Any]:
        return list(self.module.layers)  # type: ignore[arg-type]

    def _unreadable(self) -> str | None:
        module: Any = self.module
        if not isinstance(getattr(module.patch_embed, "proj", None), torch.nn.Conv2d):
            return f"its patches come from a {type(module.patch_embed).__name__}, whose windows this adapter does not know"
        pool = module.head.global_pool.pool_type
        if pool != "avg":
            what = f"a {pool!r} read-out, which is not a weighted mean of tokens" if pool else "no read-out"
            return f"it has {what}, so there is no row to start the rollout from"
        return None
