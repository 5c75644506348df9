"""Superpixels: about as many as are asked for, whatever the picture, else a note says how many there are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data
from torch import nn

import vizlib
from vizlib.explainers.parts.superpixels import superpixels

RANDOM = np.random.default_rng(0)
PICTURES = {
    **{name: getattr(data, name)() for name in ("brick", "gravel", "grass", "cat", "coffee")},
    "noise": RANDOM.integers(0, 255, (300, 300, 3), dtype=np.uint8),
    "flat": np.full((64, 64, 3), 90, np.uint8),
}


class Mean(nn.Module):
    num_classes = 2

    def forward(self, x):
        return torch.stack([x.mean((1, 2, 3)), x[:, :, :20].mean((1, 2, 3))], 1)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("pieces", [10, 40, 100])
def test_about_as_many_as_are_asked_for(name: str, pieces: int) -> None:
    model = vizlib.wrap(Mean(), input_size=64)
    x = model.prepare(vizlib.read_image(PICTURES[name]))
    numbers = superpixels(model, x, pieces)
    count = int(numbers.max()) + 1
    assert len(numbers.unique()) == count  # no number is left out
    assert 0.75 * pieces <= count <= 1.25 * pieces
    assert torch.equal(numbers, superpixels(model, x, pieces))


@pytest.mark.parametrize("method", ["lime", "kernel_shap", "feature_ablation", "shapley_sampling"])
def test_a_note_says_when_they_are_not(method: str) -> None:
    model = vizlib.wrap(Mean(), input_size=16)
    options = {"samples": 20} if method in ("lime", "kernel_shap") else {}
    x = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1))
    few = vizlib.explain(model, x, method, 1, pieces=400, **options)
    count = len(superpixels(model, x[None], 400).unique())
    assert count < 300
    assert any(f"{count} superpixels" in note and "400" in note for note in few.notes)
    assert not any("superpixels" in note for note in vizlib.explain(model, x, method, 1, pieces=4, **options).notes)


def test_two_pieces_are_at_least_two() -> None:
    model = vizlib.wrap(Mean(), input_size=64)
    assert len(superpixels(model, model.prepare(PICTURES["brick"]), 2).unique()) >= 2
