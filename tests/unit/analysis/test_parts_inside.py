"""Analyses of a known module inside another one: the same numbers as of the module by itself, with the colours brought to its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import zoo_cases as zoo
from torch import nn

import vizlib
from vizlib.analysis.features.feature_pyramid import stage_maps
from vizlib.analysis.features.layers import read
from vizlib.analysis.features.residual_ratio import ResidualRatios
from vizlib.analysis.features.t2t_figure2 import bare_maps
from vizlib.analysis.perturbation.patch_shuffle import shifted, shuffled, without_positions
from vizlib.analysis.receptive_field.effective_receptive_field import architectural_receptive_fields, effective_receptive_fields
from vizlib.analysis.receptive_field.tokenizer import cover, features_of, routes, token_maps_of
from vizlib.passes.forward import run
from vizlib.tracing.shared_copy import hooked_copy

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES = ["token", "cct", "vit_lite", "pvt", "pvt_v2", "cvt", "t2t_performer", "swin", "resnet", "distilled"]


class Scale(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x


def ratios(model: vizlib.Model, x: torch.Tensor) -> Any:
    measured = ResidualRatios.of(model)
    with hooked_copy(model.module, measured.hooks) as copied:
        model.run(copied, model.cast(x))
    return measured.shares()


ANALYSES: dict[str, Callable[[vizlib.Model, torch.Tensor], Any]] = {
    "layers": lambda model, x: read(model, x).states,
    "stages": lambda model, x: stage_maps(run(model, x, keep_states=True)),
    "residuals": ratios,
    "shuffle": lambda model, x: [vars(effect) for effect in shuffled(model, x, 8)],
    "shift": lambda model, x: [vars(effect) for effect in shifted(model, x, [(8, 8)])],
    "without positions": lambda model, x: without_positions(model)(x),
    "tokenizer": lambda model, x: token_maps_of(model)(x),
    "head": lambda model, x: features_of(model)(x),
    "cover": lambda model, x: cover(model, tuple(x.shape[2:])).__dict__,
    "routes": lambda model, x: routes(run(model, x, keep_states=True)),
    "architecture": lambda model, x: [field.weights for field in architectural_receptive_fields(model, tuple(x.shape[2:]))],
}


def numbers(value: Any) -> list[torch.Tensor]:
    """All the numbers of a result, in order."""
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers(inner)]
    if isinstance(value, list | tuple):
        return [number for inner in value for number in numbers(inner)]
    return [torch.as_tensor(value, dtype=torch.float64)] if isinstance(value, torch.Tensor | float | int) or hasattr(value, "dtype") else []


@pytest.mark.parametrize("analysis", ANALYSES)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_analysis_of_the_outer_module_is_that_of_the_inner_one(family: str, analysis: str) -> None:
    plain, x = zoo.model(family), zoo.inputs(family)
    outer = vizlib.wrap(nn.Sequential(Scale(), plain.module).eval(), input_size=plain.transform.size)
    try:
        expected = numbers(ANALYSES[analysis](plain, 0.5 * x))
    except vizlib.VizlibError:
        with pytest.raises(vizlib.VizlibError):
            ANALYSES[analysis](outer, x)
        return
    ours = numbers(ANALYSES[analysis](outer, x))
    assert expected
    assert len(ours) == len(expected)
    assert all(torch.allclose(own, value, rtol=1e-5, atol=1e-7) for own, value in zip(ours, expected, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_reads_pixels_runs_or_is_refused(family: str) -> None:
    plain, x = zoo.model(family), zoo.inputs(family)
    outer = vizlib.wrap(nn.Sequential(Scale(), plain.module).eval(), input_size=plain.transform.size)
    for call in (lambda model: effective_receptive_fields(model, x), lambda model: bare_maps(model, x)):
        results = []
        for model in (plain, outer):
            try:
                results.append(bool(call(model)))
            except vizlib.VizlibError:
                results.append(False)
        assert results[0] == results[1]
