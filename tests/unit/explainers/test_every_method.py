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

HOW = ["float32", "bfloat16", "not square", "batch"]
TABLE = [
    pytest.param(method, name, how, id=f"{method}-{name}-{how.replace(' ', '_')}")
    for one, method in enumerate(METHODS)
    for two, name in enumerate(zoo.FAMILIES)
    for three, how in enumerate(HOW)
    if os.environ.get("VIZLIB_FULL_TABLE") or (one + two) % len(HOW) == three
]


@cache
def wide(name: str) -> vizlib.Model:
    """The same family for inputs that are half as wide again as high."""
    height, width = zoo.SIZES.get(name, (32, 32))
    module = zoo.sized(name, (height, width + width // 2))
    fill_random(module)
    return vizlib.wrap(module.eval(), input_size=(height, width + width // 2))


def maps(model: vizlib.Model, x: torch.Tensor, method: str) -> list[vizlib.Explanation]:
    found = vizlib.explain(model, x, method, 1, **zoo.few(method))
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize(("method", "name", "how"), TABLE)
def test_every_method_on_every_family_in_every_way(method: str, name: str, how: str) -> None:
    model = wide(name) if how == "not square" else zoo.model(name, torch.bfloat16 if how == "bfloat16" else torch.float32)
    size = model.transform.size
    x = torch.nn.functional.interpolate(zoo.inputs(name, 2 if how == "batch" else 1), size=size, mode="bilinear")
    if method not in model.card.methods:
        assert model.card.unavailable[method]
        with pytest.raises(vizlib.MethodError, match="does not fit"):
            vizlib.explain(model, x, method)
        return
    before = state_of(model.module)
    found = maps(model, x, method)
    assert state_of(model.module) == before
    assert len(found) == len(x)
    for one in found:
        assert one.input_map.shape == size
        assert one.input_map.dtype == np.float64
        assert np.isfinite(one.input_map).all()
        assert one.input_map.any() or "map is zero" in "".join(one.notes)
        assert METHODS[method].signed or (one.input_map >= 0).all()
        if one.sink is not None:
            assert one.input_map.sum() + one.sink == pytest.approx(1, abs=1e-9)
    if how == "batch":
        for image, one in zip(x, found, strict=True):
            alone = maps(model, image[None], method)[0].input_map
            assert np.abs(one.input_map - alone).max() <= 1e-4 * np.abs(alone).max()
    elif how == "bfloat16":
        exact = maps(zoo.model(name), x, method)[0].input_map
        if exact.any() and found[0].input_map.any():
            assert np.corrcoef(exact.ravel(), found[0].input_map.ravel())[0, 1] > 0.85
    else:
        assert np.array_equal(maps(model, x, method)[0].input_map, found[0].input_map)
