"""The models that are shipped: what their cards say is so, and they answer the same from many threads."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import vizlib
from vizlib.zoo.cards import ASSETS

LEAST = {
    "vit_tiny50": 0.54, "compact_vit_tiny50": 0.55, "cct_tiny50": 0.60, "t2t_tiny50": 0.56, "t2t_t_tiny50": 0.54,
    "pvt_tiny50": 0.54, "cvt_tiny50": 0.54, "resnet_tiny50": 0.63,
}  # fmt: skip
NAMES = list(LEAST)
DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "tiny-imagenet-50"


def card_of(name: str) -> vizlib.ModelCard:
    return next(card for card in vizlib.models() if card.name == name)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_belongs_to_the_weights(name: str) -> None:
    card = card_of(name)
    weights = ASSETS / "weights" / f"{name}.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == card.training["sha256"]
    assert weights.stat().st_size < 5e6
    model = vizlib.load(name)
    assert sum(parameter.numel() for parameter in model.module.parameters()) == card.parameters
    assert model.dtype == torch.float32
    assert (model.labels, model.card.methods) == (card.labels, card.methods)
    assert len(card.training["training"]["history"]) == card.training["training"]["recipe"]["epochs"]


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_the_accuracy_on_the_card_is_that_of_the_shipped_weights(name: str, least: float) -> None:
    if not DATA.is_dir():
        pytest.skip("The validation photographs are not beside this checkout, in ../shared/data/tiny-imagenet-50.")
    from vizlib.datasets.tiny_imagenet import read_split
    from vizlib.train.loop import accuracy

    card = card_of(name)
    top1, top5 = accuracy(vizlib.load(name).module, read_split(DATA, "val"))
    assert top1 >= least
    # Another processor may round a handful of close calls the other way.
    assert top1 == pytest.approx(card.accuracy.top1, abs=0.004)
    assert top5 == pytest.approx(card.accuracy.top5, abs=0.004)


def test_the_cat_is_a_tabby_and_the_map_lies_on_it() -> None:
    from skimage import data

    cat = data.chelsea()
    answers = {name: vizlib.predict(vizlib.load(name), cat)[0].label for name in NAMES}
    assert "tabby" in answers.values()
    name = next(name for name, label in answers.items() if label == "tabby")
    explained = vizlib.explain(vizlib.load(name), cat, card_of(name).methods[0])
    assert explained.label == "tabby"
    rows, columns = np.nonzero(explained.map > 0.5 * np.nanmax(explained.map))
    # The face fills the middle of the photograph.
    assert 60 < rows.mean() < 260
    assert 130 < columns.mean() < 330


@pytest.mark.parametrize(("name", "method"), [("vit_tiny50", "rollout"), ("vit_tiny50", "relevance"), ("resnet_tiny50", "grad_cam")])
def test_eight_threads_times_fifty_calls_equal_the_serial_result(name: str, method: str) -> None:
    model = vizlib.load(name)
    generator = torch.Generator().manual_seed(0)
    xs = [torch.randn(1, 3, 64, 64, generator=generator) for _ in range(5)]
    serial = [vizlib.explain(model, x[0], method) for x in xs]
    start = threading.Barrier(8)

    def fifty(offset: int) -> bool:
        start.wait()
        turns = [(offset + turn) % 5 for turn in range(50)]
        found = [vizlib.explain(model, xs[turn][0], method) for turn in turns]
        same = [one.input_map.tobytes() == serial[turn].input_map.tobytes() for one, turn in zip(found, turns, strict=True)]
        return all(same) and all(one.target == serial[turn].target for one, turn in zip(found, turns, strict=True))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(fifty, range(8)))
