"""Swin transformers of transformers and torchvision against brute force: padded, shifted, and with a window as large as the grid."""

from __future__ import annotations

from functools import cache
from typing import Any

import brute_force as brute
import pytest
import torch
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2
from vit_modules import filled

import vizlib

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SHAPES = {"image_size": 60, "patch_size": 4, "embed_dim": 12, "depths": [2, 2, 2], "num_heads": [2, 3, 4], "window_size": 4}
VISION: dict[str, Any] = {
    "patch_size": [4, 4], "embed_dim": 12, "depths": [2, 2, 2], "num_heads": [2, 3, 4], "window_size": [4, 4], "num_classes": 7,
}  # fmt: skip
SHRUNK, WHOLE = [(4, 0), (4, 2), (4, 0), (4, 2), (3, 0), (3, 0)], [(4, 0), (4, 2), (4, 0), (4, 2), (4, 0), (4, 0)]


def hugging(name: str, config: str, ways: str = "eager", **facts: Any) -> torch.nn.Module:
    settings = getattr(transformers, config)(**SHAPES, **facts)
    return filled(getattr(transformers, name)._from_config(settings, attn_implementation=ways))


MODELS = {
    "transformers, eager": (lambda: hugging("SwinForImageClassification", "SwinConfig", num_labels=7), WHOLE),
    "transformers, sdpa": (lambda: hugging("SwinForImageClassification", "SwinConfig", "sdpa", num_labels=7), WHOLE),
    "transformers v2": (lambda: hugging("Swinv2ForImageClassification", "Swinv2Config", num_labels=7), SHRUNK),
    "transformers without a head": (lambda: hugging("SwinModel", "SwinConfig"), WHOLE),
    "torchvision": (lambda: filled(SwinTransformer(**VISION)), WHOLE),
    "torchvision v2": (lambda: filled(SwinTransformer(**VISION, block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2)), WHOLE),
}
GRIDS = [(15, 15), (8, 8), (4, 4)]


def third(answer: torch.Tensor) -> torch.Tensor:
    return answer[:, 2]


def chain_of(windows: list[tuple[int, int]], grids: list[tuple[int, int]], size: tuple[int, int]) -> brute.Chain:
    chain: brute.Chain = []
    for number in reversed(range(len(windows))):
        window, shift = windows[number]
        stage = number // 2
        whole = brute.in_windows(grids[stage], (window, window), (shift, shift), pad_first=True)
        chain.append(brute.Attention(number, whole))
        if number % 2 == 0 and stage:
            chain.append(brute.Fixed(brute.convolution(grids[stage - 1], grids[stage], (2, 2), (2, 2))))
    return [*chain, brute.Fixed(brute.patches(size, (4, 4)))]


@cache
def wrapped(name: str) -> vizlib.Model:
    return vizlib.wrap(MODELS[name][0](), input_size=60)


@pytest.mark.parametrize("name", MODELS)
def test_maps_equal_brute_force(name: str) -> None:
    model = wrapped(name)
    x = torch.randn(2, 3, 60, 60, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    caught = brute.catch(model.module, x, lambda output: third(answer_of(output)).sum())
    chain, row = chain_of(MODELS[name][1], GRIDS, (60, 60)), torch.full((2, 16), 1 / 16, dtype=torch.float64)
    expected = {
        "rollout": brute.rollout(caught, row, chain),
        "attention": brute.raw_attention(caught, row, chain, 5),
        "relevance": brute.relevance(caught, row, chain),
        "gradient_rollout": brute.gradient_rollout(caught, row, chain),
    }
    # The eager softmax of the first version runs in float32, whatever the module's precision.
    bound = 1e-6 if name in ("transformers, eager", "transformers without a head") else 1e-9
    for method, maps in expected.items():
        for explanation, pixel_map in zip(vizlib.explain(model, x, method, target=third), maps, strict=True):
            assert brute.relative_error(explanation.input_map, pixel_map) < bound, method
    assert vizlib.explain(model, x[:1], "grad_cam", target=third)[0].input_map.max() > 0


def answer_of(output: Any) -> torch.Tensor:
    if isinstance(output, torch.Tensor):
        return output
    return output.logits if hasattr(output, "logits") else output.pooler_output


@pytest.mark.parametrize("name", ["transformers, eager", "transformers v2", "torchvision", "torchvision v2"])
def test_an_even_walk_minds_the_masks_and_residuals_are_measured(name: str) -> None:
    model, windows = wrapped(name), MODELS[name][1]
    x = torch.randn(1, 3, 60, 60, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    caught = brute.catch(model.module, x)
    # What a mask of -100 forbids has no weight to speak of.
    caught.weights = [(weights > 1e-30).double() for weights in caught.weights]
    caught.weights = [weights / weights.sum(-1, keepdim=True) for weights in caught.weights]
    row = torch.full((1, 16), 1 / 16, dtype=torch.float64)
    even = brute.rollout(caught, row, chain_of(windows, GRIDS, (60, 60)))
    assert brute.relative_error(vizlib.explain(model, x[0], show="prior").input_map, even) < 1e-6
    measured = vizlib.explain(model, x[0], "rollout", residual_weight="norms")
    assert abs(measured.input_map.sum() + measured.sink - 1) < 1e-9
