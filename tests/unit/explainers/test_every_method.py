"""Every method on every family as it is used: in float32 and bfloat16, on what is not square, in a batch.

Each pair of two of these meets in every run; the whole table runs where VIZLIB_FULL_TABLE is set, as continuous integration does.
"""

from __future__ import annotations

import os
from functools import cache

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from test_invariants import state_of

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.zoo.weights import fill_random

WAYS = ["float32", "bfloat16", "not square", "batch"]
TABLE = [
    pytest.param(method, name, way, id=f"{method}-{name}-{way.replace(' ', '_')}")
    for method_index, method in enumerate(METHODS)
    for family_index, name in enumerate(zoo.FAMILIES)
    for way_index, way in enumerate(WAYS)
    if os.environ.get("VIZLIB_FULL_TABLE") or (method_index + family_index) % len(WAYS) == way_index
]


@cache
def wide(name: str) -> vizlib.Model:
    """The same family for inputs that are half as wide again as high."""
    height, width = zoo.SIZES.get(name, (32, 32))
    module = zoo.sized(name, (height, width + width // 2))
    fill_random(module)
    return vizlib.wrap(module.eval(), input_size=(height, width + width // 2))


def maps(model: vizlib.Model, x: torch.Tensor, method: str) -> list[vizlib.Explanation]:
    return vizlib.explain(model, x, method, 1, **zoo.few(method))


@pytest.mark.parametrize(("method", "name", "way"), TABLE)
def test_every_method_on_every_family_in_every_way(method: str, name: str, way: str) -> None:
    model = wide(name) if way == "not square" else zoo.model(name, torch.bfloat16 if way == "bfloat16" else torch.float32)
    size = model.transform.size
    x = torch.nn.functional.interpolate(zoo.inputs(name, 2 if way == "batch" else 1), size=size, mode="bilinear")
    if method not in model.card.methods:
        assert model.card.unavailable[method]
        with pytest.raises(vizlib.MethodError, match="does not fit"):
            vizlib.explain(model, x, method)
        return
    before = state_of(model.module)
    explanations = maps(model, x, method)
    assert state_of(model.module) == before
    assert len(explanations) == len(x)
    for explanation in explanations:
        assert explanation.input_map.shape == size
        assert explanation.input_map.dtype == np.float64
        assert np.isfinite(explanation.input_map).all()
        assert explanation.input_map.any() or "map is zero" in "".join(explanation.notes)
        assert METHODS[method].signed or (explanation.input_map >= 0).all()
        if explanation.sink is not None:
            assert explanation.input_map.sum() + explanation.sink == pytest.approx(1, abs=1e-9)
    if way == "batch":
        for image, explanation in zip(x, explanations, strict=True):
            alone = maps(model, image[None], method)[0].input_map
            assert np.abs(explanation.input_map - alone).max() <= 1e-4 * np.abs(alone).max()
    elif way == "bfloat16":
        exact = maps(zoo.model(name), x, method)[0].input_map
        if np.ptp(exact) > 1e-9 * np.abs(exact).max() and explanations[0].input_map.any():  # one cell has nothing to compare
            assert np.corrcoef(exact.ravel(), explanations[0].input_map.ravel())[0, 1] > 0.85
    else:
        assert np.array_equal(maps(model, x, method)[0].input_map, explanations[0].input_map)
