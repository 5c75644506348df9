"""Every method on every family as it is used: in float32 and bfloat16, on what is not square, in a batch, on two threads.

Each pair of two of these meets in every run; the whole table runs where VIZLIB_FULL_TABLE is set, as before a release.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from test_invariants import state_of

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.zoo.weights import fill_random

WAYS = ["float32", "bfloat16", "not square", "batch", "two threads"]
TABLE = [
    pytest.param(method, name, way, id=f"{method}-{name}-{way.replace(' ', '_')}")
    for method_index, method in enumerate(METHODS)
    for family_index, name in enumerate(zoo.FAMILIES)
    for way_index, way in enumerate(WAYS)
    if os.environ.get("VIZLIB_FULL_TABLE") or (method_index + family_index) % len(WAYS) == way_index
]
CHOICES = [
    pytest.param(chosen, name, way, id=f"{chosen[0]}-{'-'.join(chosen[1].values())}-{name}-{way.replace(' ', '_')}")
    for index, chosen in enumerate(zoo.CHOSEN)
    for family_index, name in enumerate(zoo.FAMILIES)
    for way in [WAYS[(index + family_index) % len(WAYS)]]  # one for each family, so that every choice meets every way
]


@cache
def wide(name: str) -> vizlib.Model:
    """The same family for inputs that are half as wide again as high."""
    height, width = zoo.SIZES.get(name, (32, 32))
    module = zoo.sized(name, (height, width + width // 2))
    fill_random(module)
    return vizlib.wrap(module.eval(), input_size=(height, width + width // 2))


def maps(model: vizlib.Model, x: torch.Tensor, method: str, options: dict) -> list[vizlib.Explanation]:
    return vizlib.explain(model, x, method, 1, **zoo.few(method, **options))


@pytest.mark.parametrize(("method", "name", "way"), TABLE)
def test_every_method_on_every_family_in_every_way(method: str, name: str, way: str) -> None:
    check(method, {}, name, way)


@pytest.mark.parametrize(("chosen", "name", "way"), CHOICES)
def test_every_gradient_and_weight_of_keys_and_heads_on_every_family(chosen: tuple[str, dict], name: str, way: str) -> None:
    check(*chosen, name, way)


def check(method: str, options: dict, name: str, way: str) -> None:
    model = wide(name) if way == "not square" else zoo.model(name, torch.bfloat16 if way == "bfloat16" else torch.float32)
    size = model.transform.size
    images = 2 if way in ("batch", "two threads") else 1
    x = torch.nn.functional.interpolate(zoo.inputs(name, images), size=size, mode="bilinear")
    if method not in model.card.methods:
        assert model.card.unavailable[method]
        with pytest.raises(vizlib.MethodError, match="does not fit"):
            vizlib.explain(model, x, method, **options)
        return
    before = state_of(model.module)
    explanations = at_once(model, x, method, options) if way == "two threads" else maps(model, x, method, options)
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
            alone = maps(model, image[None], method, options)[0].input_map
            assert np.abs(explanation.input_map - alone).max() <= 1e-4 * np.abs(alone).max()
    elif way == "bfloat16":
        exact = maps(zoo.model(name), x, method, options)[0].input_map
        if np.ptp(exact) > 1e-9 * np.abs(exact).max() and explanations[0].input_map.any():  # one cell has nothing to compare
            assert np.corrcoef(exact.ravel(), explanations[0].input_map.ravel())[0, 1] > 0.85
    elif way == "two threads":
        for image, explanation in zip(x, explanations, strict=True):
            assert np.array_equal(explanation.input_map, maps(model, image[None], method, options)[0].input_map)
    else:
        assert np.array_equal(maps(model, x, method, options)[0].input_map, explanations[0].input_map)


def at_once(model: vizlib.Model, x: torch.Tensor, method: str, options: dict) -> list[vizlib.Explanation]:
    """One map of each of two images, twice over, on two threads that start together."""
    start = threading.Barrier(2)

    def several(image: torch.Tensor) -> list[vizlib.Explanation]:
        start.wait()
        return [maps(model, image[None], method, options)[0] for _ in range(2)]

    with ThreadPoolExecutor(2) as pool:
        pairs = list(pool.map(several, x))
    for first, second in pairs:
        assert np.array_equal(first.input_map, second.input_map)
    return [first for first, _ in pairs]
