"""Odd models, inputs, targets and options at every public function: a result, or a VizlibError in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from odd_cases import ANSWERS, INPUTS, TARGETS, Answering, settles

import vizlib
from vizlib.compare.api import compare
from vizlib.evaluation.faithfulness import FaithfulnessScorer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PICTURE = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
FEW: dict[str, Any] = {"points": 2, "shown": 1, "fields": 1, "steps": 2}
JUNK: list[Any] = [
    None, "", b"", "x", -1, 0, 10**30, 1.5, float("nan"), float("inf"), True, [], {}, (), [1], ["x"], object(), torch.zeros(2), np.zeros(0),
    len, {"a": 1}, slice(1), 1j, torch.nn.Linear(2, 2),
]  # fmt: skip
ATTENTIVE = "token"


def model() -> vizlib.Model:
    return zoo.model(ATTENTIVE)


def x() -> torch.Tensor:
    return zoo.inputs(ATTENTIVE)[0]


@pytest.fixture(scope="module")
def explained() -> vizlib.Explanation:
    return vizlib.explain(model(), x(), "saliency", 1)


@pytest.mark.parametrize("kind", ANSWERS)
def test_odd_answers(kind: str) -> None:
    odd = vizlib.wrap(Answering(ANSWERS[kind]).eval(), input_size=32)
    plain = vizlib.wrap(Answering(ANSWERS["logits"]).eval(), input_size=32)
    explanation = vizlib.explain(plain, x(), "saliency", 1)
    readable = kind in ("logits", "half precision", "detached")
    assert settles(lambda: vizlib.evaluate(odd, x(), explanation, ["deletion"])) >= readable
    settles(lambda: FaithfulnessScorer(odd, x(), None))
    settles(lambda: compare([odd, plain], [PICTURE], **FEW))
    settles(lambda: compare([model(), odd], [PICTURE] * 5, explain=False, **FEW))


@pytest.mark.parametrize("kind", INPUTS)
def test_odd_inputs(kind: str, explained: vizlib.Explanation, tmp_path: Path) -> None:
    odd = INPUTS[kind]
    assert not settles(lambda: vizlib.evaluate(model(), odd, explained, ["deletion"]))
    for images in (odd, [odd]):
        assert not settles(lambda images=images: compare([model(), model()], images, **FEW))
    settles(lambda: compare([model(), model()], {"odd": odd, "picture": PICTURE}, **FEW))
    assert settles(lambda: vizlib.explain(model(), x(), "rollout", display=odd)) == (odd is None)
    assert not settles(lambda: vizlib.read_image(odd))
    assert not settles(lambda: vizlib.replay(odd))
    assert not settles(lambda: vizlib.replay(odd, model()))
    folder = explained.save(tmp_path / "saved")
    assert not settles(lambda: vizlib.replay(folder, odd)) or odd is None


@pytest.mark.parametrize("number", range(len(TARGETS)))
def test_odd_targets_of_a_comparison(number: int) -> None:
    settles(lambda: compare([model(), model()], [PICTURE] * 2, target=TARGETS[number], **FEW))


CALLS: dict[str, Callable[[Any, vizlib.Explanation], Any]] = {
    "predict": lambda odd, explained: vizlib.predict(odd, x()),
    "trace": lambda odd, explained: vizlib.trace(odd, x()),
    "explain": lambda odd, explained: vizlib.explain(odd, x()),
    "evaluate": lambda odd, explained: vizlib.evaluate(odd, x(), explained),
    "scorer": lambda odd, explained: FaithfulnessScorer(odd, x()),
    "evaluate, explanation": lambda odd, explained: vizlib.evaluate(model(), x(), odd),
    "compare": lambda odd, explained: compare(odd, [PICTURE], **FEW),
    "compare, second": lambda odd, explained: compare([model(), odd], [PICTURE], **FEW),
    "call": lambda odd, explained: model()(odd),
    "load": lambda odd, explained: vizlib.load(odd),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_model(name: str, explained: vizlib.Explanation) -> None:
    for odd in JUNK:
        assert not settles(lambda odd=odd: CALLS[name](odd, explained))


def test_a_bare_module_or_a_name_is_told_what_makes_a_model_of_it() -> None:
    with pytest.raises(vizlib.ModelError, match="wrap makes one"):
        vizlib.predict(model().module, x())
    with pytest.raises(vizlib.ModelError, match="load takes its name"):
        vizlib.explain("vit_tiny50", x())


OPTIONS: dict[str, Callable[[Any, vizlib.Explanation], Any]] = {
    **{
        f"compare, {name}": lambda odd, explained, name=name: compare([model(), model()], [PICTURE] * 2, **{**FEW, name: odd})
        for name in ("readings", "kernels", "points", "shown", "fields", "steps", "seed", "baseline", "fit")
    },
    **{
        f"wrap, {name}": lambda odd, explained, name=name: vizlib.explain(
            vizlib.wrap(zoo.ALL[ATTENTIVE]().eval(), **{name: odd}), PICTURE, "saliency", 1
        )
        for name in ("adapter", "part", "transform", "labels", "input_size", "num_classes", "outputs", "activation")
    },
    **{
        f"load, {name}": lambda odd, explained, name=name: vizlib.load("resnet_tiny50", **{"checkpoint": "random", name: odd})
        for name in ("checkpoint", "device", "dtype", "num_classes", "image_size", "labels", "activation")
    },
    "evaluate, metrics": lambda odd, explained: vizlib.evaluate(model(), x(), explained, odd if odd is not None else ["deletion"]),
    "predict, top": lambda odd, explained: vizlib.predict(model(), x(), odd),
    "explain, method": lambda odd, explained: vizlib.explain(model(), x(), odd),
    "explain, fit": lambda odd, explained: vizlib.explain(model(), PICTURE, "saliency", 1, odd),
    "picture, opacity": lambda odd, explained: explained.picture(odd),
    "picture, colour map": lambda odd, explained: vizlib.explain(model(), x(), "rollout").picture(0.5, odd),
    "transform, size": lambda odd, explained: vizlib.Transform(size=odd),
    "transform, mean": lambda odd, explained: vizlib.Transform(size=(8, 8), mean=odd),
    "transform, crop": lambda odd, explained: vizlib.Transform(size=(8, 8), crop_pct=odd),
    "transform, interpolation": lambda odd, explained: vizlib.Transform(size=(8, 8), interpolation=odd),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_odd_options(name: str, explained: vizlib.Explanation) -> None:
    junk = [odd for odd in JUNK if not (callable(odd) and name == "wrap, outputs")]  # what a function of the user's raises comes through
    results = [settles(lambda odd=odd: OPTIONS[name](odd, explained)) for odd in junk]
    assert results.count(True) < len(JUNK) / 2


@pytest.mark.parametrize("method", [card.name for card in vizlib.methods() if card.options])
def test_odd_options_of_methods(method: str) -> None:
    for option in vizlib.catalog.methods.METHODS[method].options:
        for odd in JUNK:
            settles(lambda odd=odd, option=option: vizlib.explain(model(), x(), method, 1, **zoo.few(method) | {option.name: odd}))
