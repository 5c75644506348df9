"""What maps say of themselves in notes is what happened."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import vizlib
from vizlib.explainers.parts.gradient_maps import ZERO, method_outputs
from vizlib.explainers.parts.weighed_maps import SILENT


def test_a_map_of_zeros_does_not_say_that_the_gradient_is_zero() -> None:
    """At the data's mean colour the prepared picture is zero, and so is its product with slopes that are not."""
    x = torch.zeros(3, 64, 64)
    model = vizlib.load("vit_tiny50")
    made = vizlib.explain(model, x, "input_x_gradient")
    assert not made.input_map.any()
    assert vizlib.explain(model, x, "saliency").input_map.any()
    assert made.notes == (ZERO,)
    assert "gradient" not in ZERO
    assert method_outputs(torch.ones(1, 2, 2))[0].notes == ()


def test_a_class_activation_map_of_another_layer_is_not_said_to_be_of_the_last_one() -> None:
    model = vizlib.load("resnet_tiny50")
    dark = np.zeros((64, 64, 3), np.uint8)
    for target in range(50):
        made = vizlib.explain(model, dark, "grad_cam", target, layer="layer1")
        if not made.input_map.any():
            assert made.notes == (SILENT,)
            break
    assert "last" not in SILENT


@pytest.mark.parametrize(("lost", "said"), [(0.2345, "23\u00a0%"), (0.0123, "1.2\u00a0%")])
def test_what_a_performer_lost_is_told_of_a_round_as_readers_count(lost: float, said: str) -> None:
    model = vizlib.load("t2t_tiny50")
    name = model.adapter.forks()[0].name
    recording = SimpleNamespace(of_kind=lambda kind: {name: {"lost": torch.tensor([0.001, lost])}} if kind == "performer" else {})
    (note,) = model.adapter.warnings(recording)
    assert note.startswith(f"In round 1 a row lost up to {said} to the performer's epsilon")
