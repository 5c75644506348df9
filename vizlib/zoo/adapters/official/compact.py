"""Compact Transformers: CCT, CVT and ViT-Lite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.errors import MethodError
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.residuals import Port, Residual
from vizlib.tracing.token_flow import Attention, Routing, Step, ToSink, Windows
from vizlib.tracing.token_grid import Grid
from vizlib.zoo.adapters.base import Adapter, Classifier, Lineage, Size, Tap, counted, first_token
from vizlib.zoo.adapters.windows import Window, spread

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.tracing.recorder import Recording

_POOL = ((3, 3), (2, 2), (1, 1))


class CompactAdapter(Adapter):
    """Blocks on one grid, read out by the softmax weights of sequence pooling or a class token; below them convolutions and max-pools."""

    family = "compact"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from vizlib.zoo.networks.compact import CompactTransformer

        return isinstance(module, CompactTransformer)

    def check_size(self, size: Size) -> None:
        self._grids(size)

    def taps(self, size: Size) -> list[Tap]:
        module: Any = self.module
        grid = Grid(*self._grids(size)[-1], module.classifier.num_prefix_tokens)
        layers = [Tap(f"tokenizer.{index}", f"tokenizer.conv_layers.{index}") for index in range(len(module.tokenizer.conv_layers))]
        blocks = range(len(module.classifier.blocks))
        return layers + [Tap(f"classifier.blocks.{index}", f"classifier.blocks.{index}", grid) for index in blocks]

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        module: Any = self.module
        depth, prefix = len(module.classifier.blocks), module.classifier.num_prefix_tokens
        calls = counted(recording, depth)
        grids = [Grid(*size), *(Grid(*grid) for grid in self._grids(size))]
        top = Grid(*grids[-1].shape, prefix)
        if module.classifier.seq_pool:
            if "classifier.attention_pool" not in recording.notes:
                raise MethodError("The forward pass did not report its sequence pooling, so there is no row to start from.")
            readout = recording.notes["classifier.attention_pool"]["weights"].double()
        else:
            readout = first_token(calls[-1], top)
        steps: list[Step] = [
            Attention(AttentionSite.of(calls[index], f"classifier.blocks.{index}.self_attn", 0, index, top, top))
            for index in reversed(range(depth))
        ]
        if prefix:
            steps.append(ToSink(top))
        window = Window.square(*module.tokenizer.window)
        for layer in reversed(range(len(module.tokenizer.conv_layers))):
            source, target = grids[layer], grids[layer + 1]
            if module.tokenizer.pool:
                note = recording.notes[f"tokenizer.pool.{layer}"]
                middle = Grid(*note["in_grid"])
                even = Windows.strided(middle, target, *_POOL)
                steps.append(Routing(middle, target, note["indices"].flatten(2), note["values"].flatten(2), even))
                target = middle
            weight, x = module.tokenizer.conv_layers[layer][0].weight, recording.notes[f"tokenizer.conv.{layer}"]["x"]
            steps.append(spread(windows, source, target, window, weight.flatten(2), x))
        return Lineage(readout / readout.sum(1, keepdim=True), steps)

    def first_block(self) -> str:
        return "classifier.blocks.0"

    def forks(self) -> list[Residual]:
        module: Any = self.module
        blocks = (f"classifier.blocks.{index}" for index in range(len(module.classifier.blocks)))
        return [Residual(f"{block}.self_attn", Port(block, "input"), Port(f"{block}.self_attn")) for block in blocks]

    def layer_logits(
        self,
        module: nn.Module,
        tokens: torch.Tensor,
        pooling: str,
        classifier: Classifier | None = None,  # noqa: ARG002  it has one
    ) -> torch.Tensor:
        head: Any = module.classifier
        if pooling == "mean":
            return head.fc(head.norm(tokens.mean(1)))
        tokens = head.norm(tokens)
        return head.fc(head.pool(tokens) if head.seq_pool else tokens[:, 0])

    def _grids(self, size: Size) -> list[tuple[int, int]]:
        module: Any = self.module
        return module.grids(size)
