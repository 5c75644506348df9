"""What maps say of themselves in notes is what happened."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import vizlib
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.methods.gradient.integrated_gradients import _with_completeness
from vizlib.explainers.parts.baselines import are_baselines, baseline, nothing_note
from vizlib.explainers.parts.gradient_maps import ZERO, method_outputs
from vizlib.explainers.parts.weighed_maps import SILENT
from vizlib.ui.pages.attribution.map_grid_data import scaled_map
from vizlib.ui.widgets.explanation import map_data


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


ONE_COLOUR = np.full((64, 64, 3), (200, 60, 30), np.uint8)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("integrated_gradients", {}),
        ("deeplift", {}),
        ("rise", {"samples": 20}),
        ("occlusion", {"window": 0.5, "stride": 0.5}),
        ("shapley_sampling", {"pieces": 10, "orders": 1}),
        ("patching", {"cells": 2}),
    ],
)
@pytest.mark.parametrize("kind", ["colour", "blur"])
def test_a_picture_that_is_its_own_baseline_has_a_map_of_zeros_and_not_of_rounding(method: str, options: dict, kind: str) -> None:
    model = vizlib.load("resnet_tiny50")
    other = np.random.default_rng(0).integers(0, 256, ONE_COLOUR.shape, np.uint8)
    flat, busy = vizlib.explain(model, [ONE_COLOUR, other], method, baseline=kind, **options)
    assert not flat.input_map.any()
    assert flat.notes == (nothing_note(kind),)
    assert flat.facts == {}
    alone = vizlib.explain(model, other, method, baseline=kind, **options)
    assert np.allclose(busy.input_map, alone.input_map, atol=1e-4 * np.abs(alone.input_map).max())
    assert busy.notes == alone.notes


def test_under_noise_a_picture_of_one_colour_is_no_baseline() -> None:
    made = vizlib.explain(
        vizlib.load("resnet_tiny50"), ONE_COLOUR, "integrated_gradients", baseline="colour", steps=4, smoothing="mean", noise_samples=2
    )
    assert made.input_map.any()
    assert made.notes == ()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_picture_of_one_colour_is_its_own_baseline_and_one_with_a_speck_is_not(dtype: torch.dtype) -> None:
    model = vizlib.load("resnet_tiny50")
    x = model.prepare(ONE_COLOUR).to(dtype)
    speck = x.clone()
    speck[..., 5, 5] += 1 / 255 / 0.3
    both = torch.cat([x, speck])
    for kind, same in (("colour", True), ("blur", True), ("mean", False), ("black", False)):
        assert are_baselines(both, baseline(model, both, kind)).tolist() == [same, False]


@pytest.mark.parametrize(
    ("steps", "said"), [(32, ": take steps=128."), (256, ": take steps=1000."), (1000, ", with as many as 1,000 steps.")]
)
def test_no_more_steps_are_advised_than_may_be_taken(steps: int, said: str) -> None:
    (note,) = _with_completeness(MethodOutput(torch.ones(2, 2), None), {"sum": 4.0, "change": 8.0, "gap": 0.5, "steps": float(steps)}).notes
    assert note.endswith(f"where the score changes by 8{said}")


@pytest.mark.parametrize(("smoothing", "signed"), [("none", True), ("mean", True), ("mean_square", False), ("variance", False)])
def test_a_square_of_evidence_is_not_drawn_as_evidence_for_and_against(smoothing: str, signed: bool) -> None:
    made = vizlib.explain(vizlib.load("vit_tiny50"), ONE_COLOUR, "input_x_gradient", smoothing=smoothing, noise_samples=2)
    assert made.signed is signed
    assert bool(made.input_map.min() < 0) is signed
    assert map_data(made).unit == ("score" if signed else "share")
    assert scaled_map(made, made.geometry.content).signed is signed
    colours = made.picture(opacity=0.0)
    assert bool((np.ptp(colours, axis=2) == 0).all()) is signed  # evidence for and against lies over the photograph in grey
