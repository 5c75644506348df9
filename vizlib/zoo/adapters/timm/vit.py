"""timm's plain vision transformers: ViT, DeiT (distilled or not), registers, DINOv2 and v3, SigLIP, EVA, BEiT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.residuals import Port, Residual
from vizlib.tracing.token_flow import Attention, FromCells, Step, ToSink
from vizlib.tracing.token_grid import Grid
from vizlib.zoo.adapters.base import Adapter, Classifier, Lineage, Size, Tap, check_cut, check_patches, counted, match_tokens
from vizlib.zoo.adapters.feature_map import input_size as declared_input
from vizlib.zoo.adapters.place_reader import NotRun, PlaceReader
from vizlib.zoo.adapters.windows import Window, spread

if TYPE_CHECKING:
    from torch import nn

    from vizlib.tracing.products import WeightsRead
    from vizlib.tracing.recorder import AttentionCall, Recording

_DISTILLED = {"class": Classifier("head", 0), "distillation": Classifier("head_dist", 1)}


class ViTAdapter(Adapter):
    """One grid of patches, one attention a block; read out by the class token, a distilled DeiT's two, a mean, or an attention pool."""

    family = "vit"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self.prefix = int(module.num_prefix_tokens)  # type: ignore[arg-type]
        self.depth = len(module.blocks)  # type: ignore[arg-type]
        if self.distilled:
            del self.refusals["two_classifiers"]
        self.reader: PlaceReader | None = None  # of what stands before or in the blocks and is not a plain ViT's
        reason, unknown = self._unreadable(), self._unknown_parts()
        if reason is None and unknown is not None:
            self.reader = PlaceReader(module)
            size = declared_input(module)
            graph = None if size is None else self.reader.graph(size[1:])
            reason = f"{unknown}, and {graph}" if isinstance(graph, str) and not isinstance(graph, NotRun) else None
        if reason:
            self.refusals.setdefault("lineage", reason)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from timm.models.beit import Beit
        from timm.models.eva import Eva
        from timm.models.vision_transformer import VisionTransformer

        return isinstance(module, VisionTransformer | Eva | Beit)

    @property
    def distilled(self) -> bool:
        """Whether two tokens are read out, each by its own head."""
        return hasattr(self.module, "head_dist")

    def grid(self, size: Size) -> Grid:
        """The tokens of an input (h, w)."""
        embed: Any = self.module.patch_embed
        height, width = embed.dynamic_feat_size(size) if hasattr(embed, "dynamic_feat_size") else embed.grid_size
        return Grid(height, width, self.prefix)

    def check_size(self, size: Size) -> None:
        check_patches(self.module.patch_embed, size)

    def taps(self, size: Size) -> list[Tap]:
        grid = self.grid(size)
        return [Tap(f"blocks.{index}", f"blocks.{index}", grid) for index in range(self.depth)]

    def stride(self) -> Size | None:
        ratio: Any = getattr(self.module.patch_embed, "feat_ratio", None)
        return None if ratio is None else (int(ratio(as_scalar=False)[0]), int(ratio(as_scalar=False)[1]))

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        if "lineage" in self.refusals:
            raise MethodError(self.refusals["lineage"])
        if self.reader is not None:
            return self.reader.lineage(recording, size, windows)
        grid = self.grid(size)
        pooled = getattr(self.module, "attn_pool", None) is not None
        calls = counted(recording, self.depth + pooled)
        steps: list[Step] = []
        images = calls[0].q.shape[0]
        if pooled:
            readout = self._latents(calls[-1], images)
            steps += self._pool(calls[-1], grid)
        else:
            readout = self._readout(grid, images, calls[0].q.device)
        for index in range(self.depth - 1, -1, -1):
            match_tokens(calls[index], grid, f"blocks.{index}")
            steps.append(Attention(AttentionSite.of(calls[index], f"blocks.{index}.attn", 0, index, grid, grid)))
        return Lineage(readout, [*steps, ToSink(grid), self._pixels(recording, grid, size, windows)])

    def products(self, x: torch.Tensor) -> dict[int, WeightsRead] | None:
        return None if self.reader is None else self.reader.products((int(x.shape[2]), int(x.shape[3])))

    def classifier(self, name: str) -> Classifier | None:
        if self.distilled and name in _DISTILLED:
            return _DISTILLED[name]
        return super().classifier(name)

    def first_block(self) -> str | None:
        from timm.models.vision_transformer import VisionTransformer

        # Rotary embeddings and tables of relative positions are made for the whole grid.
        return "blocks.0" if isinstance(self.module, VisionTransformer) else None

    def forks(self) -> list[Residual]:
        return [self._fork(f"blocks.{index}", block) for index, block in enumerate(self.module.blocks)]  # type: ignore[arg-type]

    def _fork(self, path: str, block: Any) -> Residual:
        skip = Port(path, "input")
        if hasattr(block, "drop_path1"):
            return Residual(f"{path}.attn", skip, Port(f"{path}.drop_path1"))
        if getattr(block, "out_proj", None) is not None:
            raise MethodError(
                f"{path} projects attention and MLP together, so what attention alone adds is not known; give residual_weight as a number."
            )
        return Residual(f"{path}.attn", skip, Port(f"{path}.attn_out_proj"), getattr(block.ls, "gamma", None))

    def layer_logits(self, module: nn.Module, tokens: torch.Tensor, pooling: str, classifier: Classifier | None = None) -> torch.Tensor:
        if pooling == "mean" and getattr(module, "attn_pool", None) is None:
            # Every token that the head may look at is the mean.
            tokens = tokens.mean(1, keepdim=True).expand(-1, self.prefix + 1, -1)
        head: Any = module
        if classifier is not None:
            return head.get_submodule(classifier.path)(head.norm(tokens)[:, classifier.token])
        return head.forward_head(head.norm(tokens))

    def _readout(self, grid: Grid, images: int, device: torch.device) -> torch.Tensor:
        row = torch.zeros(images, grid.tokens, dtype=torch.float64, device=device)
        if self.distilled:
            row[:, :2] = 0.5
        elif self.module.global_pool == "token":
            row[:, 0] = 1
        else:
            first = 0 if getattr(self.module, "pool_include_prefix", False) else self.prefix
            row[:, first:] = 1 / (grid.tokens - first)
        return row

    def _latents(self, call: AttentionCall, images: int) -> torch.Tensor:
        latents = call.q.shape[2]
        row = torch.zeros(images, latents, dtype=torch.float64, device=call.q.device)
        if self.module.attn_pool.pool == "token":  # type: ignore[union-attr]
            row[:, 0] = 1
        else:
            row[:] = 1 / latents
        return row

    def _pool(self, call: AttentionCall, grid: Grid) -> list[Step]:
        # EVA pools over all tokens, ViT over the patches unless it is told to take the learned ones too.
        whole = getattr(self.module, "pool_include_prefix", True)
        keys = grid if whole else grid.without_prefix()
        match_tokens(call, keys, "attn_pool", keys_only=True)
        site = AttentionSite.of(call, "attn_pool", 0, self.depth, Grid(0, 0, call.q.shape[2]), keys)
        return [Attention(site, skip=False), *([] if whole else [FromCells(grid)])]

    def _pixels(self, recording: Recording, grid: Grid, size: Size, windows: str) -> Step:
        embed: Any = self.module.patch_embed
        projection = embed.proj
        check_cut(projection, size, grid, padded=bool(getattr(embed, "dynamic_img_pad", False)))
        window = Window(projection.kernel_size, projection.stride, projection.padding)
        return spread(windows, Grid(*size), grid.without_prefix(), window, projection.weight.flatten(2), recording.x)

    def _unknown_parts(self) -> str | None:
        module: Any = self.module
        projection = getattr(module.patch_embed, "proj", None)
        if hasattr(module.patch_embed, "backbone"):
            return (
                f"a {type(module.patch_embed.backbone).__name__} stands before its patches ({type(module.patch_embed).__name__}), whose "
                "windows on the pixels this adapter does not know"
            )
        if not isinstance(projection, torch.nn.Conv2d):
            return f"its patches come from a {type(module.patch_embed).__name__}, whose windows this adapter does not know"
        strange = {type(block).__name__ for block in module.blocks if not isinstance(block, _plain_blocks())}
        if strange:
            return f"its blocks ({', '.join(sorted(strange))}) do not run one attention each around one residual"
        return None

    def _unreadable(self) -> str | None:
        module: Any = self.module
        inner = [block.attn for block in module.blocks if hasattr(block, "attn")]
        attentions = {type(attention).__name__ for attention in inner if not isinstance(attention, _plain_attentions())}
        if attentions:
            return f"its attention ({', '.join(sorted(attentions))}) is not a softmax whose rows can be read"
        pool = getattr(module, "attn_pool", None)
        if pool is not None:
            readable_pool = type(pool).__name__ == "AttentionPoolLatent" and pool.pool in ("token", "avg")
            return None if readable_pool else f"its read-out ({type(pool).__name__}) is not one that this adapter knows"
        if not self.distilled and module.global_pool not in ("token", "avg"):
            what = "no read-out" if not module.global_pool else f"a {module.global_pool!r} read-out, which is not a weighted mean of tokens"
            return f"it has {what}, so there is no row to start the rollout from"
        return None


def _plain_blocks() -> tuple[type, ...]:
    from timm.models import beit, eva, vision_transformer

    return (
        vision_transformer.Block,
        vision_transformer.ResPostBlock,
        vision_transformer.ParallelScalingBlock,
        eva.EvaBlock,
        eva.EvaBlockPostNorm,
        beit.Block,
    )


def _plain_attentions() -> tuple[type, ...]:
    from timm.layers.attention import Attention as Plain
    from timm.layers.attention import AttentionRope
    from timm.models.beit import Attention as BeitAttention
    from timm.models.eva import EvaAttention

    return (Plain, AttentionRope, BeitAttention, EvaAttention)
