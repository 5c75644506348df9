"""Grad-CAM on tokens, of every layout that is read: the gradient of a logit with respect to the tokens of a named part, by hand.

A class token reads the cells that enter the last block, a mean or a pool those that leave it.
"""

from __future__ import annotations

from typing import Any

import pytest
import test_declared_vits as declared
import test_pyramids as pyramids
import test_swins as swins
import test_transformers_vits as vits
import torch
from vit_modules import filled

import vizlib

BY_TOKEN = {"vit", "deit", "deit with a teacher", "beit with a token", "dinov3 without a head", "clip without a head"}


def of_transformers(name: str) -> tuple[vizlib.Model, str]:
    model = vits.case(name, "sdpa")[0]
    return model, vits.CASES[name].paths[-2 if name in BY_TOKEN else -1]


def of_declared(name: str) -> tuple[vizlib.Model, str]:
    build, described, *_ = declared.MODELS[name]
    path = {"torchvision": "encoder.layers.encoder_layer_0", "lucidrains": "transformer.layers.1.0"}.get(name)
    path = path or ("encoder.layers.1" if name.startswith("encoder") else "transformer.resblocks.0")
    return vizlib.wrap(filled(build()), adapter=described, input_size=32), path


SWINS = {
    "transformers, eager": "swin.encoder.layers.2.blocks.1", "transformers, sdpa": "swin.encoder.layers.2.blocks.1",
    "transformers v2": "swinv2.encoder.layers.2.blocks.1", "transformers without a head": "encoder.layers.2.blocks.1",
    "torchvision": "features.5.1", "torchvision v2": "features.5.1",
}  # fmt: skip
PYRAMIDS = {
    "pvt": "pvt.encoder.block.3.0", "pvt v2": "pvt_v2.encoder.layers.3.blocks.1", "pvt v2, linear": "pvt_v2.encoder.layers.3.blocks.0",
    "segformer": "segformer.stages.3.blocks.0", "cvt": "cvt.encoder.stages.2.layers.1",
}  # fmt: skip
DECLARED = [name for name in declared.MODELS if "tokens first" not in name]
# Each case: the model with the part whose tokens are read, the input's side, and the side and stride of the grid.
CASES: dict[str, tuple[Any, int, int, int]] = {
    **{f"transformers: {name}": (lambda name=name: of_transformers(name), 32, 4, 8) for name in vits.CASES},
    **{f"swin: {name}": (lambda name=name: (swins.wrapped(name), SWINS[name]), 60, 4, 16) for name in swins.MODELS},
    **{
        f"pyramid: {name}": (lambda name=name: (pyramids.wrapped(name), PYRAMIDS[name]), 64, *((4, 16) if name == "cvt" else (2, 32)))
        for name in pyramids.MODELS
    },
    **{f"declared: {name}": (lambda name=name: of_declared(name), 32, 4, 8) for name in DECLARED},
}


def third(answer: torch.Tensor) -> torch.Tensor:
    return answer[:, 2]


def by_hand(model: vizlib.Model, path: str, x: torch.Tensor, cells: int, stride: int) -> torch.Tensor:
    """relu(sum_c a_c A_c) (B, h, w), a_c the mean over cells of the gradient at channel c of the tokens A."""
    kept: list[torch.Tensor] = []
    part = model.module.get_submodule(path)
    if path == "transformer.layers.1.0":  # an attention that adds what it is given outside of itself
        handle = part.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    else:
        handle = part.register_forward_hook(lambda _, __, output: kept.append(output[0] if isinstance(output, tuple) else output))
    try:
        with torch.enable_grad():
            output = model.adapter.call(model.module, x)
            score = third(output if isinstance(output, torch.Tensor) else vits.answer_of(output)).sum()
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(score, kept)
    values, slopes = (tokens.detach().reshape(len(x), -1, tokens.shape[-1])[:, -cells * cells :] for tokens in (kept[0], slope))
    maps = (values * slopes.mean(1, keepdim=True)).sum(2).clamp_min(0).view(len(x), 1, cells, cells)
    whole = torch.nn.functional.interpolate(maps, (cells * stride, cells * stride), mode="bilinear")
    return whole[:, 0, : x.shape[2], : x.shape[3]]


@pytest.mark.parametrize("name", CASES)
def test_grad_cam_equals_gradients_at_the_tokens_by_hand(name: str) -> None:
    build, side, cells, stride = CASES[name]
    model, path = build()
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = by_hand(model, path, x, cells, stride)
    assert float(expected.amax()) > 0
    for explanation, pixel_map in zip(vizlib.explain(model, x, "grad_cam", target=third), expected, strict=True):
        assert float((torch.as_tensor(explanation.input_map) - pixel_map).abs().max()) < 1e-9 * float(expected.max())
