"""A token is left out of networks that are read by their own code: hidden as a key of every attention, by a mode of the test's own."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from traced_checks import filled

import vizlib
from vizlib.catalog.transformers_variants import FACTS
from vizlib.model_report.family_table import transformers_model


class Hiding(TorchFunctionMode):
    """Writes minus infinity at a cell of the last grid, ``side`` cells a side, into the scores of every softmax over keys."""

    def __init__(self, cell: int, side: int, prefix: int) -> None:
        super().__init__()
        self.cell, self.side, self.prefix = cell, side, prefix

    def keys(self, count: int) -> list[int]:
        side = round((count - self.prefix) ** 0.5)
        step, (row, column) = side // self.side, divmod(self.cell, self.side)
        return [self.prefix + y * side + x for y in range(row * step, (row + 1) * step) for x in range(column * step, (column + 1) * step)]

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            q, k, v = args[:3]
            mask = kwargs.get("attn_mask")
            scores = q @ k.mT * (kwargs.get("scale") or q.shape[-1] ** -0.5) + (0 if mask is None else mask)
            scores[..., self.keys(k.shape[-2])] = -torch.inf
            shares = torch.exp(scores - scores.amax(-1, keepdim=True))
            return shares / shares.sum(-1, keepdim=True) @ v
        if func in (torch.softmax, torch.Tensor.softmax, F.softmax) and args[0].ndim >= 3:
            hidden = args[0].clone()
            hidden[..., self.keys(hidden.shape[-1])] = -torch.inf
            return func(hidden, *args[1:], **kwargs)
        return func(*args, **kwargs)


class WrittenOut(nn.Module):
    """Two attentions as products and a softmax, the second with its values left of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.first, self.second, self.head = nn.Conv2d(3, 16, 16, 16), nn.Linear(16, 48), nn.Linear(16, 48), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.cut(x).flatten(2).mT
        q, k, v = self.first(x).chunk(3, -1)
        x = x + (q @ k.mT / 4).softmax(-1) @ v
        q, k, v = self.second(x).chunk(3, -1)
        x = x + (v.mT @ (q @ k.mT / 4).softmax(-1).mT).mT
        return self.head(x.mean(1))


# How each is built, the cells of its last grid a side, the learned tokens before them.
CASES = {
    "written out": (WrittenOut, 4, 0),
    "i-jepa": (lambda: transformers_model("IJepaForImageClassification", FACTS["IJepaForImageClassification"]), 4, 0),
    "vit msn": (lambda: transformers_model("ViTMSNForImageClassification", FACTS["ViTMSNForImageClassification"]), 4, 1),
    "metaclip 2": (lambda: transformers_model("MetaClip2ForImageClassification", FACTS["MetaClip2ForImageClassification"]), 4, 1),
    "relative positions": (
        lambda: timm.create_model("vit_relpos_small_patch16_224", img_size=64, embed_dim=24, depth=2, num_heads=3, num_classes=7), 4, 0,
    ),
    "two grids": (lambda: timm.create_model("visformer_tiny", img_size=64, num_classes=7), 2, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_without_a_token_the_answer_is_that_of_a_pass_that_cannot_look_at_it(name: str) -> None:
    build, side, prefix = CASES[name]
    module = filled(build())
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    model = vizlib.wrap(module, input_size=64)
    assert model.card.family in ("traced", "other")
    answer = model(x)[:, 2]
    expected = []
    for cell in range(side * side):
        with torch.no_grad(), Hiding(cell, side, prefix):
            hidden = module(x)
        expected.append(answer - (hidden if isinstance(hidden, torch.Tensor) else hidden.logits)[:, 2])
    cells = torch.stack(expected, 1).view(2, side, side)
    pixels = cells.repeat_interleave(64 // side, 1).repeat_interleave(64 // side, 2)
    for explanation, pixel_map in zip(vizlib.explain(model, x, "leave_one_out", target=2), pixels, strict=True):
        assert float((torch.as_tensor(explanation.input_map) - pixel_map).abs().max()) < 1e-9 * float(pixel_map.abs().max())


@pytest.mark.parametrize(("name", "why"), [("hiera_tiny_224", "looks at windows"), ("pit_ti_224", "no grid that lies evenly")])
def test_what_cannot_be_hidden_is_refused_on_the_card(name: str, why: str) -> None:
    model = vizlib.wrap(timm.create_model(name, img_size=64, num_classes=7).eval(), input_size=64)
    assert why in model.card.unavailable["leave_one_out"]
    with pytest.raises(vizlib.MethodError, match=why):
        vizlib.explain(model, torch.rand(3, 64, 64), "leave_one_out", target=1)
