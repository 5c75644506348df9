"""The same maps on a card as on the CPU, from every thread and stream, and the card as it was afterwards."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.zoo.weights import fill_random

DRAWN_ON_THE_DEVICE = ("gradient_shap", "kernel_shap")
"""Captum draws their samples where the model is: another device is another draw, so a run is compared with its repetition."""
PAIRS = [(name, method) for name in zoo.FAMILIES for method in METHODS]


@cache
def on_card(name: str, dtype: torch.dtype = torch.float32) -> vizlib.Model:
    module = zoo.ALL[name]()
    fill_random(module)
    return vizlib.wrap(module.eval().to("cuda", dtype), input_size=zoo.SIZES.get(name, (32, 32)))


def one_map(model: vizlib.Model, name: str, method: str) -> np.ndarray:
    explanations = vizlib.explain(model, zoo.inputs(name), method, 1, **zoo.few(method))
    return (explanations[0] if isinstance(explanations, list) else explanations).input_map


@pytest.mark.parametrize(("name", "method"), PAIRS, ids=[f"{method}-{name}" for name, method in PAIRS])
def test_a_map_on_a_card_is_that_of_the_cpu(name: str, method: str) -> None:
    if method not in zoo.model(name).card.methods:
        pytest.skip("the method does not fit the family")
    on_cuda = one_map(on_card(name), name, method)
    if method in DRAWN_ON_THE_DEVICE:
        again, bound = one_map(on_card(name), name, method), 1e-6
    else:
        again, bound = one_map(zoo.model(name), name, method), 1e-4
    assert np.abs(on_cuda - again).max() <= bound * np.abs(again).max()


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_two_runs_on_a_card_agree_to_a_millionth(name: str) -> None:
    method = "rollout" if "rollout" in on_card(name).card.methods else "grad_cam"
    first, second = one_map(on_card(name), name, method), one_map(on_card(name), name, method)
    assert np.abs(first - second).max() <= 1e-6 * np.abs(first).max()


@pytest.mark.parametrize("method", ["rollout", "relevance", "grad_cam"])
def test_threads_do_not_disturb_each_other(method: str) -> None:
    names = [name for name in zoo.FAMILIES if method in on_card(name).card.methods]
    alone = {name: one_map(on_card(name), name, method) for name in names}
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda name: one_map(on_card(name), name, method), names * 4))
    for name, values in zip(names * 4, together, strict=True):
        assert np.abs(values - alone[name]).max() <= 1e-6 * np.abs(alone[name]).max()


def test_another_stream_gives_the_same_map() -> None:
    alone = one_map(on_card("token"), "token", "relevance")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        beside = one_map(on_card("token"), "token", "relevance")
    torch.cuda.synchronize()
    assert np.abs(alone - beside).max() <= 1e-6 * np.abs(alone).max()


@pytest.mark.parametrize("name", ["token", "pvt", "resnet"])
def test_autocast_around_the_call_keeps_the_map_near(name: str) -> None:
    method = "rollout" if name != "resnet" else "grad_cam"
    exact = one_map(on_card(name), name, method)
    with torch.autocast("cuda", torch.bfloat16):
        near = one_map(on_card(name), name, method)
    assert np.abs(exact - near).max() <= 0.1 * np.abs(exact).max()


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_bfloat16_keeps_the_map_near(name: str) -> None:
    method = "rollout" if "rollout" in on_card(name).card.methods else "grad_cam"
    exact, near = one_map(on_card(name), name, method), one_map(on_card(name, torch.bfloat16), name, method)
    if exact.any() and near.any():
        assert np.corrcoef(exact.ravel(), near.ravel())[0, 1] > 0.85


def test_a_compiled_model_is_read_through() -> None:
    module = zoo.ALL["token"]()
    fill_random(module)
    compiled = vizlib.wrap(torch.compile(module.eval().cuda()), input_size=(32, 32))
    assert np.allclose(one_map(compiled, "token", "rollout"), one_map(on_card("token"), "token", "rollout"), atol=1e-7)


@pytest.mark.parametrize("method", ["rollout", "relevance", "saliency"])
def test_the_memory_of_a_call_is_given_back(method: str) -> None:
    model = on_card("token")
    one_map(model, "token", method)
    gc.collect()
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        one_map(model, "token", method)
    gc.collect()
    assert torch.cuda.memory_allocated() == before


def test_the_memory_of_a_model_is_given_back() -> None:
    gc.collect()
    before = torch.cuda.memory_allocated()
    model = vizlib.load("vit_tiny50", checkpoint="random", device="cuda")
    vizlib.explain(model, torch.zeros(3, 64, 64), "relevance", 0)
    assert torch.cuda.memory_allocated() > before
    del model
    gc.collect()
    assert torch.cuda.memory_allocated() == before


def test_a_full_card_is_said_and_stays_of_use() -> None:
    model = vizlib.load("vit_small_patch16_224.augreg_in21k_ft_in1k", checkpoint="random", image_size=1024, device="cuda")
    x = torch.zeros(3, 1024, 1024)
    total = torch.cuda.get_device_properties(0).total_memory
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (256 << 20)) / total)
    try:
        with pytest.raises(vizlib.DeviceError, match="memory does not suffice"):
            vizlib.explain(model, x, "relevance", 0)
        gc.collect()
        assert torch.cuda.memory_allocated() == before
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert np.isfinite(vizlib.explain(model, x, "relevance", 0).input_map).all()


def test_a_card_that_is_not_there_is_refused() -> None:
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(vizlib.DeviceError, match=f"no {missing}"):
        vizlib.load("vit_tiny50", checkpoint="random", device=missing)
