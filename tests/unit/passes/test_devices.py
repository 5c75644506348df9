"""A default device of the caller's, and a card that is full."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.passes.device_memory import enough_memory


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_made_on_the_callers_default_device(method: str) -> None:
    # A tensor made there holds no data, so that any use of it fails.
    for name in zoo.FAMILIES:
        model, x = zoo.model(name), zoo.inputs(name)[0]
        if method in model.card.methods:
            plain = vizlib.explain(model, x, method, 1, **zoo.few(method))
            with torch.device("meta"):
                elsewhere = vizlib.explain(model, x, method, 1, **zoo.few(method))
                assert torch.get_default_device().type == "meta"
            assert np.array_equal(plain.input_map, elsewhere.input_map)


def test_predictions_and_traces_are_made_on_the_models_device() -> None:
    model, x = zoo.model("token"), zoo.inputs("token")[0]
    with torch.device("meta"):
        assert vizlib.predict(model, x) == vizlib.predict(model, x)
        assert vizlib.trace(model, x).logits.device.type == "cpu"


def test_a_full_card_is_one_sentence() -> None:
    @enough_memory
    def fill() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB. GPU 0 has a total capacity of 8 GiB")

    with pytest.raises(vizlib.DeviceError, match=r"\(CUDA out of memory. Tried to allocate 9.00 GiB\): take a smaller input") as caught:
        fill()
    assert caught.value.__context__ is None
