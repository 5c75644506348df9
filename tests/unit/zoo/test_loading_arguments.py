"""What ``load`` and ``wrap`` are given: taken in every form that people have it, or refused in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import vizlib

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    "",
    "x",
    b"x",
    [],
    [1],
    [1, 2, 3],
    [None, 2],
    ["a", "b"],
    {},
    {"a": 1},
    {1},
    object(),
    np.zeros(3),
]


@pytest.mark.parametrize("name", ["checkpoint", "device", "dtype", "num_classes", "image_size", "labels", "activation"])
def test_odd_arguments_of_load(name: str) -> None:
    refused = 0
    for value in ODD:
        try:
            vizlib.load("vit_tiny50", **({"checkpoint": "random"} | {name: value}))
        except vizlib.VizlibError:
            refused += 1
    assert refused >= len(ODD) - 3  # None, and a number of classes or pixels


def test_odd_names() -> None:
    for value in ODD:
        with pytest.raises(vizlib.VizlibError):
            vizlib.load(value, checkpoint="random")


@pytest.mark.parametrize("name", ["labels", "input_size", "num_classes", "activation"])
def test_odd_arguments_of_wrap(name: str) -> None:
    module = vizlib.load("resnet_tiny50", checkpoint="random").module
    refused = 0
    for value in ODD:
        try:
            vizlib.wrap(module, **{name: value})
        except vizlib.VizlibError:
            refused += 1
    assert refused >= len(ODD) - 3


@pytest.mark.parametrize("size", [48, (48, 48), [48, 48], torch.Size([48, 48]), np.int64(48), np.array([48, 48])])
def test_sizes_as_people_have_them(size: Any) -> None:
    assert vizlib.load("vit_tiny50", checkpoint="random", image_size=size).card.input_size == (48, 48)


@pytest.mark.parametrize(
    "labels", [["a", "b", "c"], ("a", "b", "c"), np.array(["a", "b", "c"]), {0: "a", 1: "b", 2: "c"}, {2: "c", 0: "a", 1: "b"}]
)
def test_labels_as_people_have_them(labels: Any) -> None:
    assert vizlib.load("vit_tiny50", checkpoint="random", num_classes=3, labels=labels).labels == ("a", "b", "c")
    for wrong in ({1: "a", 2: "b", 3: "c"}, {"a": 0, "b": 1, "c": 2}, "abc"):
        with pytest.raises(vizlib.ModelError, match="class"):
            vizlib.load("vit_tiny50", checkpoint="random", num_classes=3, labels=wrong)
