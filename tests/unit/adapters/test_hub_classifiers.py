"""Every image classifier of transformers and torchvision: maps that equal brute force, or refusals with a true reason.

A few run by default; VIZLIB_FULL_TABLE=1 runs all.
"""

from __future__ import annotations

import os
from typing import Any

import brute_force as brute
import hub_classifiers as hub
import pytest
import torch
from averaging_network import relevance, rollout
from test_pyramids import chain_of
from traced_checks import maps_of
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

import vizlib
from vizlib.zoo.weights import fill_random

SAMPLE = {
    "CLIPForImageClassification", "CvtForImageClassification", "LevitForImageClassification", "PPLCNetForImageClassification",
    "ShieldGemma2ForImageClassification", "SwiftFormerForImageClassification", "AlexNet", "MaxVit", "SwinTransformerV2",
}  # fmt: skip
FULL = bool(os.environ.get("VIZLIB_FULL_TABLE"))
SEEDS = {"HieraForImageClassification": 1}  # of weights by which the top class's last map is not silent, where those of seed 0 leave it so
NO_PICTURE = {
    "ImageGPTForImageClassification": "takes input_ids and no picture",
    "ShieldGemma2ForImageClassification": r"takes a text beside the picture.*part='model\.model\.vision_tower'",
}
# Those with attention, or what stands for it, that no matrix over places describes.
NO_MATRIX = {
    "MobileViTV2ForImageClassification": "attention weighs places one by one",
    "SwiftFormerForImageClassification": "attn multiplies two streams of places",
}
NO_ATTENTION = {
    "AlexNet", "BitForImageClassification", "ConvNeXt", "ConvNextForImageClassification", "ConvNextV2ForImageClassification", "DenseNet",
    "EfficientNet", "EfficientNetForImageClassification", "EfficientNetV2", "FocalNetForImageClassification", "GoogLeNet",
    "HGNetV2ForImageClassification", "Inception3", "MNASNet", "MobileNetV1ForImageClassification", "MobileNetV2",
    "MobileNetV2ForImageClassification", "MobileNetV3",
    "PPLCNetForImageClassification", "PoolFormerForImageClassification", "RegNet", "RegNetForImageClassification", "ResNeXt", "ResNet",
    "ResNetForImageClassification", "ShuffleNetV2", "SqueezeNet", "TextNetForImageClassification", "VGG",
}  # fmt: skip
# Where windows are not even, or tokens are not one batch: the chain of matrices that brute force takes, and what the read-out reads.
CHAINS = {"CvtForImageClassification": "cvt", "PvtV2ForImageClassification": "pvt v2", "SegformerForImageClassification": "segformer"}


class Logits(torch.nn.Module):
    """What a classifier answers, as a tensor."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if hasattr(self.module, "config") and self.module.config.model_type == "siglip2":
            return self.module(**_patches(x)).logits
        output = self.module(x)
        return output if isinstance(output, torch.Tensor) else output.logits


def _patches(x: torch.Tensor) -> dict[str, torch.Tensor]:
    rows = [x[:, :, y : y + 16, z : z + 16].permute(0, 2, 3, 1).flatten(1) for y in range(0, 64, 16) for z in range(0, 64, 16)]
    whole = torch.ones(len(x), 16, dtype=torch.long)
    return {"pixel_values": torch.stack(rows, 1), "pixel_attention_mask": whole, "spatial_shapes": torch.tensor([[4, 4]] * len(x))}


def built(name: str) -> torch.nn.Module:
    """The classifier, in float64, by weights of its own seed."""
    try:
        module = hub.TORCHVISION[name]() if name in hub.TORCHVISION else hub.hugging(name)
    except ImportError as error:
        pytest.skip(f"{name} needs a package that is not installed: {str(error).strip().splitlines()[0]}")
    fill_random(module, SEEDS.get(name, 0))
    return module.double().eval()


def references(name: str, module: torch.nn.Module, x: torch.Tensor, target: int) -> dict[str, torch.Tensor]:
    """The maps (B, h, w) of rollout and relevance, by code that shares nothing with the library's."""
    alone = Logits(module)
    if name not in CHAINS and "Siglip2" not in name:
        return {"rollout": rollout(alone, x), "relevance": relevance(alone, x, target)}
    caught = brute.catch(alone, x)
    if name in CHAINS:
        chain = chain_of(CHAINS[name], module, hub.SIZES.get(name, (64, 64)))
    else:
        chain = brute.plain_chain(2, 0, (64, 64), (16, 16))
        del caught.weights[2:]  # of a pool that runs for nothing
    caught.slopes = list(torch.autograd.grad(caught.output[:, target].sum(), caught.weights))
    tokens = chain[0].matrix.shape[0] if isinstance(chain[0], brute.Fixed) else caught.weights[-1].shape[2]
    row = torch.eye(1, tokens) if name.startswith("Cvt") else torch.full((1, tokens), 1 / tokens)
    row = row.double().expand(len(x), -1)
    maps = {"rollout": brute.rollout(caught, row, chain), "relevance": brute.relevance(caught, row, chain)}
    return {method: pixels.view(len(x), *x.shape[2:]) for method, pixels in maps.items()}


@pytest.mark.parametrize("name", [name for name in (*hub.FACTS, *hub.TORCHVISION) if FULL or name in SAMPLE])
def test_its_maps_are_right_or_refused_with_a_true_reason(name: str) -> None:
    module, size = built(name), hub.SIZES.get(name, (64, 64))
    if name in NO_PICTURE:
        with pytest.raises(vizlib.ModelError, match=NO_PICTURE[name]):
            vizlib.wrap(module)
        return
    model = vizlib.wrap(module, input_size=size)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    target = int(model(x)[0].argmax())
    for method in ("grad_cam", "saliency"):
        _check(vizlib.explain(model, x, method, target=[target, target]))
    reason = NO_MATRIX.get(name, "the model has no attention" if name in NO_ATTENTION else None)
    if reason is not None:
        for method in ("rollout", "relevance"):
            with pytest.raises(vizlib.MethodError, match=reason):
                vizlib.explain(model, x, method)
        return
    expected = references(name, module, x, target)
    explanations = {
        "rollout": vizlib.explain(model, x, "rollout"),
        "relevance": vizlib.explain(model, x, "relevance", target=[target, target]),
    }
    assert all(abs(explanation.input_map.sum() + explanation.sink - 1) < 1e-9 for explanation in explanations["rollout"])
    for method, maps in explanations.items():
        _check(maps)
        assert brute.relative_error(maps_of(maps), expected[method]) < 1e-6, method


def _check(explanations: list[Any]) -> None:
    maps = maps_of(explanations)
    assert bool(torch.isfinite(maps).all())
    assert float(maps.min()) >= 0
    assert float(maps.amax((1, 2)).min()) > 0
    assert float((maps[0] - maps[1]).abs().max()) > 1e-6 * float(maps.max())


def test_every_classifier_is_in_the_table() -> None:
    names = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.values()
    assert set(hub.FACTS) == {name for entry in names for name in ([entry] if isinstance(entry, str) else entry)}


def test_every_architecture_of_torchvision_is_in_the_table() -> None:
    from torchvision import models

    architectures = {models.get_model_builder(name).__module__ for name in models.list_models(module=models)}
    assert len(architectures) == 17
    assert architectures == {type(build()).__module__ for build in hub.TORCHVISION.values()}
