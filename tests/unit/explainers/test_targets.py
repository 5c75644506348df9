"""One target for each image of a batch, and what comes back for a batch and for one image."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.evaluation.faithfulness import FaithfulnessScorer
from vizlib.evaluation.region_score import region_score
from vizlib.evaluation.sanity_checks import cascade, sanity_checks
from vizlib.evaluation.stability_bands import stability

MIXED = [1, (2, 4), 3]
LABELS = [f"kind {letter}" for letter in "abcdefg"]
CASES = [
    (method, name)
    for method in METHODS
    for name in ("token", "resnet")
    if method in vizlib.wrap(zoo.ALL[name](), input_size=32).card.methods
]


@pytest.mark.parametrize(("method", "name"), CASES)
def test_each_image_of_a_batch_has_the_map_that_it_has_alone(method: str, name: str) -> None:
    model, x = zoo.model(name), zoo.inputs(name, 3)
    together = vizlib.explain(model, x, method, MIXED, **zoo.few(method))
    assert [explanation.target for explanation in together] == MIXED
    for image, target, explanation in zip(x, MIXED, together, strict=True):
        alone = vizlib.explain(model, image, method, target, **zoo.few(method))
        assert explanation.label == alone.label
        assert np.abs(explanation.input_map - alone.input_map).max() <= 1e-4 * np.abs(alone.input_map).max()
    if METHODS[method].class_specific:
        same = vizlib.explain(model, x, method, 1, **zoo.few(method))
        assert not np.allclose(same[1].input_map, together[1].input_map, rtol=1e-3)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([3, 5, 0], [3, 5, 0]),
        (np.array([3, 5, 0]), [3, 5, 0]),
        (np.array([3, 5, 0], np.uint8), [3, 5, 0]),
        (torch.tensor([3, 5, 0]), [3, 5, 0]),
        (torch.tensor([3, 5, 0], dtype=torch.int16), [3, 5, 0]),
        ([torch.tensor(3), np.int64(5), 0], [3, 5, 0]),
        (["kind d", "kind f", 0], [3, 5, 0]),
        (np.array(["kind d", "kind f", "kind a"]), [3, 5, 0]),
        ([(3, 1), 5, ("kind a", 1)], [(3, 1), 5, (0, 1)]),
        (torch.tensor([[3, 1], [5, 2], [0, 1]]), [(3, 1), (5, 2), (0, 1)]),
        (torch.tensor(3), [3, 3, 3]),
        ((3, 5), [(3, 5)] * 3),
        ((torch.tensor(3), np.int64(5)), [(3, 5)] * 3),
        (5, [5, 5, 5]),
    ],
)
def test_targets_are_given_as_people_have_them(targets: object, expected: list) -> None:
    module = zoo.model("token").module
    model, x = vizlib.wrap(module, labels=LABELS), zoo.inputs("token", 3)
    for method in ("rollout", "relevance"):
        assert [explanation.target for explanation in vizlib.explain(model, x, method, targets)] == expected


def test_a_list_may_leave_an_image_to_its_own_answer_or_ask_a_function() -> None:
    model, x = zoo.model("token"), zoo.inputs("token", 3)
    top = [int(index) for index in model(x).argmax(1)]
    explanations = vizlib.explain(model, x, "relevance", [None, 4, lambda logits: logits[:, 4]])
    assert [explanation.target for explanation in explanations] == [top[0], 4, None]
    assert np.allclose(explanations[2].input_map, vizlib.explain(model, x[2], "relevance", 4).input_map, atol=1e-7)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([3, 5], r"holds 2 for 3 images.*tuple, \(3, 5\)"),
        (torch.tensor([3, 5, 1, 2]), "holds 4 for 3 images"),
        (np.zeros((0,), int), "holds 0 for 3 images"),
        (torch.tensor([3.0, 5.0, 1.0]), r"not 3\.0"),
        (torch.tensor(3.0), r"not 3\.0"),
        (np.array([3.0, 5.0, 1.0], np.float32), r"not 3\.0"),
        (np.float64(3), r"not 3\.0"),
        (torch.tensor([True, False, True]), "not True"),
        ([True, False, True], "not True"),
        (np.True_, "not True"),
        (True, "not True"),
        ([3, 5, 1.5], r"not 1\.5"),
        ([3, 5, 7], "nearest to 7 is 6"),
        ([3, 5, "kind a"], "class names"),
        (torch.zeros(3, 7, dtype=torch.int64), "pair, not 7"),
        ((3, 5, 1), "pair, not 3"),
        ({3, 5, 1}, "not {"),
    ],
)
def test_targets_that_are_none_are_refused(targets: object, words: str) -> None:
    for method in ("rollout", "saliency"):
        with pytest.raises(vizlib.TargetError, match=words):
            vizlib.explain(zoo.model("token"), zoo.inputs("token", 3), method, targets)


def test_targets_follow_their_images_through_many_batches() -> None:
    model, x = zoo.model("token"), zoo.inputs("token", 35)
    targets = [index % 7 for index in range(35)]
    assert [explanation.target for explanation in vizlib.explain(model, x, "rollout", torch.tensor(targets))] == targets
    pictures = [x[:20], x[20], *(image[None] for image in x[21:])]  # a list may hold batches
    assert [explanation.target for explanation in vizlib.explain(model, pictures, "rollout", targets)] == targets
    with pytest.raises(vizlib.TargetError, match="holds 16 for 35 images"):
        vizlib.explain(model, x, "rollout", targets[:16])


def test_a_batch_gives_a_list_and_an_image_one_result() -> None:
    model, x = zoo.model("token"), zoo.inputs("token", 2)
    for batch in (x, x[:1], [x[0]], [x[:1]]):
        images = len(batch)
        for results in (vizlib.explain(model, batch), vizlib.trace(model, batch), vizlib.predict(model, batch)):
            assert isinstance(results, list)
            assert len(results) == images
        assert len(vizlib.predict(model, batch)[0]) == 5
    assert isinstance(vizlib.explain(model, x[0]), vizlib.Explanation)
    assert isinstance(vizlib.trace(model, x[0]), vizlib.Trace)
    assert isinstance(vizlib.predict(model, x[0])[0], vizlib.Prediction)
    assert vizlib.explain(model, x[0], target=[3]).target == 3
    assert vizlib.explain(model, x[:1], target=torch.tensor([3]))[0].target == 3
    for call in (vizlib.explain, vizlib.trace, vizlib.predict):
        with pytest.raises(vizlib.ImageError, match="empty"):
            call(model, x[:0])


def test_maps_of_a_batch_are_measured_like_those_of_single_images() -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet", 3)
    region = np.zeros((32, 32), bool)
    region[4:20, 8:24] = True
    for image, target, explanation in zip(x, MIXED, vizlib.explain(model, x, "input_x_gradient", MIXED), strict=True):
        alone = vizlib.explain(model, image, "input_x_gradient", target)
        own, expected = (vizlib.evaluate(model, image, each, ["deletion", "sensitivity_n"]) for each in (explanation, alone))
        assert [score.value for score in own.values()] == pytest.approx([score.value for score in expected.values()], abs=1e-5)
        assert region_score(model, image, region, [target]) == region_score(model, image, region, target)
    with pytest.raises(vizlib.TargetError, match="holds 3 for 1 image"):
        region_score(model, x[0], region, MIXED)


def test_a_list_of_explanations_is_not_one() -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")
    explanations = vizlib.explain(model, x, "saliency", 1)
    scorer = FaithfulnessScorer(model, x[0], 1)
    for call in (
        lambda: scorer.score(explanations),
        lambda: scorer.curves(explanations),
        lambda: sanity_checks(model, x, explanations),
        lambda: cascade(model, x, explanations),
        lambda: stability(model, x, explanations),
    ):
        with pytest.raises(vizlib.MethodError, match="One explanation is measured at a time, not a list"):
            call()


@pytest.mark.parametrize("target", [(3, 5), 4])
def test_a_saved_target_is_that_of_its_image(target: object, tmp_path) -> None:
    model = vizlib.load("vit_tiny50", checkpoint="random")
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    saved = vizlib.explain(model, x, "relevance", [1, target])[1]
    saved.save(tmp_path)
    manifest = json.loads((tmp_path / "explanation.json").read_text(encoding="utf-8"))
    assert manifest["target"] == (list(target) if isinstance(target, tuple) else target)  # as all versions wrote it
    again = vizlib.replay(tmp_path)
    assert again.target == target
    assert np.abs(again.input_map - saved.input_map).max() <= 1e-5 * saved.input_map.max()
    assert np.load(tmp_path / "input.npz")["x"].shape == (1, 3, 64, 64)
