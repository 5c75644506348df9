"""Networks of transformers and torchvision that are read by running their own code: pooled queries, grids of windows, products by name."""

from __future__ import annotations

import brute_force as brute
import pytest
import torch
from averaging_network import relevance, rollout
from vit_modules import filled

import vizlib

transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def third(output: object) -> torch.Tensor:
    return (output if isinstance(output, torch.Tensor) else output.logits)[:, 2]


def test_hieras_pooled_queries_in_mask_units_equal_brute_force() -> None:
    from transformers.models.hiera.modeling_hiera import unroll

    config = transformers.HieraConfig(num_labels=7, image_size=[64, 64], embed_dim=8, depths=[1, 2, 2, 1], num_heads=[1, 2, 4, 8])
    module = filled(transformers.HieraForImageClassification(config))
    model = vizlib.wrap(module, input_size=64)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    caught = brute.catch(module, x, lambda output: third(output).sum())
    tower = module.hiera
    numbers = torch.arange(256).view(1, 256, 1).double()
    order = unroll(numbers, config.image_size, config.patch_stride, tower.unroll_schedule).flatten().long()
    chain: brute.Chain = []
    for number, layer in enumerate(layer for stage in tower.encoder.stages for layer in stage.layers):
        windows, queries, keys = caught.weights[number].shape[2:]
        pooled = layer.query_stride if queries < keys else 1
        past = torch.eye(windows * queries, dtype=torch.float64).repeat(1, pooled) / pooled

        def whole(weights: torch.Tensor) -> torch.Tensor:
            images, windows, queries, keys = weights.shape
            matrix = weights.new_zeros(images, queries, windows, keys, windows)
            for window in range(windows):
                matrix[:, :, window, :, window] = weights[:, window]
            return matrix.reshape(images, queries * windows, keys * windows)

        chain.insert(0, brute.Attention(number, whole, past=past))
    chain.append(brute.Fixed(torch.eye(256, dtype=torch.float64)[order]))
    chain.append(brute.Fixed(brute.convolution((64, 64), (16, 16), (7, 7), (4, 4), (3, 3))))
    row = torch.full((2, 4), 1 / 4, dtype=torch.float64)
    for method, maps in {"rollout": brute.rollout(caught, row, chain), "relevance": brute.relevance(caught, row, chain)}.items():
        for explanation, pixel_map in zip(vizlib.explain(model, x, method, target=2), maps, strict=True):
            assert brute.relative_error(explanation.input_map, pixel_map) < 1e-9, method


def test_torchvisions_maxvit_equals_its_averaging_twin() -> None:
    from torchvision.models.maxvit import MaxVit

    module = filled(MaxVit((64, 64), 16, 4, [16, 16], [1, 1], 8, 0.0, num_classes=7))
    model = vizlib.wrap(module, input_size=64)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for method, expected in (("rollout", rollout(module, x)), ("relevance", relevance(module, x, 2))):
        for explanation, pixel_map in zip(vizlib.explain(model, x, method, target=2), expected, strict=True):
            assert brute.relative_error(explanation.input_map, pixel_map) < 1e-9, method
