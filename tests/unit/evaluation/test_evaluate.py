"""The measures of faithfulness against counting by hand, and on models whose true map is known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from torch import nn

import vizlib
from vizlib.engine.progress import told_to
from vizlib.evaluation.api import evaluate
from vizlib.evaluation.control_maps import centred_gaussian_map, random_smooth
from vizlib.evaluation.deletion_insertion import area, pixel_ranks, removal_curves
from vizlib.evaluation.faithfulness import FaithfulnessScorer
from vizlib.evaluation.metrics import metrics_named
from vizlib.evaluation.metrics.infidelity import infidelity
from vizlib.evaluation.metrics.sensitivity_n import sensitivity_n
from vizlib.evaluation.over_sets import SetScore
from vizlib.evaluation.protocol import CELLS
from vizlib.evaluation.random_subsets import random_subsets, score_drops, subset_sums
from vizlib.evaluation.score import Score
from vizlib.ui.core.pictures import sample


class Linear(nn.Module):
    """Evidence for class 1 in one corner and against it in another; class 0 stays at zero."""

    num_classes = 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 32, 32))
        with torch.no_grad():
            self.weight[:, 18:28, 4:14] = 0.03
            self.weight[:, 2:8, 20:30] = -0.02

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = (self.weight * x).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], 1)


MODEL = vizlib.wrap(Linear().eval(), input_size=(32, 32))
# Around zero, so that all baselines are nearly the same and the map is true for each.
X = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_ranks_fall_with_the_map_and_ties_are_shared_out() -> None:
    maps = torch.tensor([[[3.0, 1.0], [2.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    assert pixel_ranks(maps).tolist() == [[1, 3, 2, 0], [3, 2, 1, 0]]
    flat = torch.zeros(1, 20, 20)
    flat[0, :10] = 1
    places = pixel_ranks(flat).reshape(20, 20)
    assert int(places[:10].max()) == 199
    assert sorted(places.flatten().tolist()) == list(range(400))
    # Not by rows: the first tenth of the places is spread over the upper half.
    assert len({int(row) for row in (places < 20).nonzero()[:, 0]}) > 5
    assert not torch.equal(pixel_ranks(flat, 1), pixel_ranks(flat))


@pytest.mark.parametrize("insert", [False, True])
def test_curves_by_hand(insert: bool) -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")
    empty, maps = torch.zeros_like(x), random_smooth(3, (32, 32))
    answer = lambda images: model(images)[:, 2]  # noqa: E731
    with torch.no_grad():
        found = removal_curves(answer, x, empty, maps, 4, 5, insert=insert)
        for one in range(3):
            order = np.argsort(-maps[one].numpy().ravel(), kind="stable")
            for step in range(5):
                image = (empty if insert else x).clone().flatten(2)
                image[:, :, order[: step * 256]] = (x if insert else empty).flatten(2)[:, :, order[: step * 256]]
                assert float(found[one, step]) == pytest.approx(float(answer(image.reshape(x.shape))), abs=1e-5)


def test_area_under_a_curve() -> None:
    assert float(area(torch.linspace(0, 1, 9))) == pytest.approx(0.5)
    assert float(area(torch.tensor([1.0, 0.0, 0.0]))) == pytest.approx(0.25)
    values = torch.rand(33, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(area(values)) == pytest.approx(np.trapezoid(values.numpy(), dx=1 / 32))


def test_subsets_and_falls_by_hand() -> None:
    subsets = random_subsets((3, 40), 5)
    assert subsets.sum((1, 2)).tolist() == [3] * 5 + [40] * 5
    empty = torch.zeros_like(X)
    with torch.no_grad():
        answer = lambda images: MODEL(images)[:, 1]  # noqa: E731
        found = score_drops(answer, X, empty, subsets, 4)
        for subset, fall in zip(subsets, found, strict=True):
            image = X.clone()
            for row, column in subset.nonzero().tolist():
                image[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 0
            assert float(fall) == pytest.approx(float(answer(X) - answer(image)), abs=1e-4)
    maps = torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    told = subset_sums(maps, subsets)
    wide = np.kron(subsets[7].numpy(), np.ones((4, 4), bool))
    assert float(told[1, 7]) == pytest.approx(float(maps[1].numpy()[wide].sum()))


def test_sensitivity_and_infidelity_by_hand() -> None:
    generator = torch.Generator().manual_seed(2)
    told, fall = torch.rand(2, 12, generator=generator, dtype=torch.float64), torch.rand(12, generator=generator, dtype=torch.float64)
    by_hand = [np.mean([np.corrcoef(row[i : i + 4], fall[i : i + 4])[0, 1] for i in (0, 4, 8)]) for row in told.numpy()]
    assert sensitivity_n(told, fall, 4).tolist() == pytest.approx(by_hand)
    for row, value in zip(told.numpy(), infidelity(told, fall).tolist(), strict=True):
        scale = max(0.0, float(np.linalg.lstsq(row[:, None], fall.numpy(), rcond=None)[0][0]))
        assert value == pytest.approx(np.mean((scale * row - fall.numpy()) ** 2) / np.mean(fall.numpy() ** 2))
    assert float(sensitivity_n(torch.ones(1, 12, dtype=torch.float64), fall, 4)) == 0
    assert float(infidelity(torch.zeros(1, 12, dtype=torch.float64), fall)) == 1
    assert float(infidelity(-fall[None], fall)) == 1


def test_the_true_map_is_green_and_a_shuffled_one_is_not() -> None:
    true = vizlib.explain(MODEL, X[0], "input_x_gradient", 1)
    scores = evaluate(MODEL, X, true)
    assert set(scores) == {metric.name for metric in metrics_named()}
    assert scores["sensitivity_n"].value > 0.95
    assert scores["infidelity"].value < 0.1
    for name in ("deletion", "insertion", "sensitivity_n", "infidelity"):
        score = scores[name]
        assert score.good, name
        assert score.percentile == 100
        assert score.low <= score.value <= score.high
        assert score.definition
    order = np.random.default_rng(0).permutation(1024)
    broken = replace(true, input_map=true.input_map.ravel()[order].reshape(32, 32))
    for name, score in evaluate(MODEL, X, broken, ["deletion", "insertion", "sensitivity_n", "infidelity"]).items():
        assert not score.good, name
    opposite = evaluate(MODEL, X, replace(true, input_map=-true.input_map))
    assert opposite["sensitivity_n"].value < -0.9
    assert opposite["infidelity"].value == 1
    assert opposite["deletion"].percentile == 0


def test_the_exact_values_on_the_mean_colour_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vizlib.evaluation.protocol.BASELINES", ("mean",))
    scores = evaluate(MODEL, X, vizlib.explain(MODEL, X[0], "input_x_gradient", 1))
    assert scores["sensitivity_n"].value == pytest.approx(1, abs=1e-5)
    assert scores["infidelity"].value == pytest.approx(0, abs=1e-5)
    assert 0.05 < scores["max_sensitivity"].value < 0.2  # |w e| / |w x|, e even up to a fiftieth of a range of about eight


def test_a_picture_and_its_prepared_tensor_score_the_same_and_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vizlib.evaluation.protocol.RANDOM_MAPS", 3)
    monkeypatch.setattr("vizlib.evaluation.protocol.BASELINES", ("blur",))
    model = vizlib.load("vit_tiny50")
    picture = (np.random.default_rng(0).random((64, 64, 3)) * 255).astype(np.uint8)
    found = vizlib.explain(model, picture, "rollout")
    before = torch.random.get_rng_state()
    by_picture, by_tensor = (evaluate(model, one, found, ["deletion"]) for one in (picture, model.prepare(picture)))
    assert by_picture == by_tensor
    assert torch.equal(before, torch.random.get_rng_state())
    assert by_picture == evaluate(model, picture, found, ["deletion"])


def test_what_is_taken_from_a_picture_of_one_colour_is_not_rounding() -> None:
    """Its blur and its own mean colour are the picture: only the data's mean colour takes anything away."""
    model = vizlib.load("resnet_tiny50")
    scorer = FaithfulnessScorer(model, np.full((64, 64, 3), (200, 60, 30), np.uint8))
    (empty,) = scorer.material.empty
    assert not empty.any()
    assert len(FaithfulnessScorer(model, np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)).material.empty) == 3
    with pytest.raises(vizlib.MethodError, match="one without evidence"):
        FaithfulnessScorer(model, torch.zeros(3, 64, 64))


def test_a_map_without_an_order_passes_nothing_and_has_no_size_to_change_by() -> None:
    """Its pixels go in a random order, which tears this picture apart sooner than smooth maps do."""
    model, picture = vizlib.load("vit_tiny50"), sample("rocket").pixels
    empty = vizlib.explain(model, picture, "hires_cam", gradient="plain")
    assert not empty.input_map.any()
    scorer = FaithfulnessScorer(model, picture)
    scores = scorer.score(empty, ["deletion", "max_sensitivity"])
    assert scores["deletion"].percentile >= 95
    assert scores["deletion"].value < scores["deletion"].gaussian
    assert scores["deletion"].good is False
    assert scores["deletion"].without_order
    assert not scorer.score(vizlib.explain(model, picture), ["deletion"])["deletion"].without_order
    assert np.isnan(scores["max_sensitivity"].value)
    known = Score(0.5, 0.5, 0.5, None, None, None, higher=False, definition="a rule")
    assert SetScore((known, scores["max_sensitivity"], replace(known, value=0.7))).mean[0] == pytest.approx(0.6)


def test_a_pair_of_classes() -> None:
    pair, single = (vizlib.explain(MODEL, X[0], "input_x_gradient", target) for target in ((1, 0), 1))
    mine, truth = (evaluate(MODEL, X, found, ["deletion"])["deletion"] for found in (pair, single))
    assert mine.value == pytest.approx(truth.value)  # of two classes the other one's score is zero here
    assert mine.percentile == truth.percentile


def test_what_is_refused() -> None:
    found = vizlib.explain(MODEL, X[0], "saliency", 1)
    with pytest.raises(vizlib.MethodError, match="Did you mean 'deletion'"):
        evaluate(MODEL, X, found, ["deletoin"])
    with pytest.raises(vizlib.MethodError, match="not of ResNet"):
        evaluate(zoo.model("resnet"), X, found)
    with pytest.raises(vizlib.MethodError, match="no class"):
        evaluate(MODEL, X, vizlib.explain(MODEL, X[0], "saliency", lambda logits: logits[:, 1]))
    with pytest.raises(vizlib.MethodError, match="this image gives"):
        evaluate(MODEL, torch.zeros(1, 3, 16, 16), found)


def test_references() -> None:
    maps = random_smooth(4, (20, 30))
    assert maps.shape == (4, 20, 30)
    assert torch.equal(maps, random_smooth(4, (20, 30)))
    assert not torch.equal(maps[0], maps[1])
    steps = (maps[:, 1:] - maps[:, :-1]).abs().mean() / maps.std()
    assert steps < 0.5  # white noise has 1.13
    spot = centred_gaussian_map((20, 30))
    assert spot.flatten().argmax() in (9 * 30 + 14, 9 * 30 + 15, 10 * 30 + 14, 10 * 30 + 15)
    assert torch.allclose(spot, spot.flip(0).flip(1))
    assert CELLS == 8


class Counted(nn.Module):
    """Linear, and how many images went through it."""

    num_classes = 2

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.seen = Linear(), []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        return self.inner(x)


def test_a_yardstick_gives_what_evaluate_gives_and_measures_the_references_once() -> None:
    module = Counted().eval()
    model = vizlib.wrap(module, input_size=(32, 32))
    first, second = (vizlib.explain(model, X[0], method, 1) for method in ("input_x_gradient", "saliency"))
    metrics = ["deletion", "insertion", "sensitivity_n", "infidelity"]
    expected = evaluate(model, X, second, metrics)
    yardstick = FaithfulnessScorer(model, X, 1)
    seen = yardstick.material.scorer.copied.seen
    assert sum(seen) == 1
    yardstick.score(first, metrics)
    # Of 22 maps and 3 baselines, both ways: 31 images each and the two ends; for each baseline 128 subsets and the whole image.
    everything = 1 + 2 * 3 * (22 * 31 + 2 * 2) + 3 * 129
    assert sum(seen) < 0.8 * everything  # the random maps' curves only until it is certain which are worse
    found = yardstick.score(second, metrics)
    for name in metrics:
        assert found[name].value == pytest.approx(expected[name].value)
        assert found[name].percentile == expected[name].percentile
    assert sum(seen) < everything
    yardstick.curves(second)
    assert sum(seen) == everything + 2 * 3 * 33
    del seen[:]
    assert yardstick.score(second, metrics) == found
    yardstick.curves(second)
    assert not seen


def test_the_areas_under_the_curves_are_the_scores() -> None:
    found, yardstick = vizlib.explain(MODEL, X[0], "input_x_gradient", 1), FaithfulnessScorer(MODEL, X, 1)
    drawn, scores = yardstick.curves(found), yardstick.score(found, ["deletion", "insertion"])
    assert drawn.share.tolist() == [step / 32 for step in range(33)]
    for name, score in scores.items():
        mine, low, high, gaussian = (getattr(drawn, f"{name}{end}") for end in ("", "_low", "_high", "_gaussian"))
        assert np.trapezoid(mine, drawn.share) == pytest.approx(score.value)
        assert np.trapezoid(gaussian, drawn.share) == pytest.approx(score.gaussian)
        assert (low <= mine + 1e-12).all()
        assert (mine <= high + 1e-12).all()
        assert (getattr(drawn, f"{name}_random_low") <= getattr(drawn, f"{name}_random_high")).all()
    assert drawn.deletion[0] == drawn.insertion[-1] == pytest.approx(float(MODEL(X).detach().softmax(1)[0, 1]))
    assert drawn.deletion[-1] == drawn.insertion[0]


def test_a_yardstick_refuses_what_is_of_something_else() -> None:
    yardstick = FaithfulnessScorer(MODEL, X, 1)
    for found, words in (
        (vizlib.explain(MODEL, X[0], "saliency", 0), "class 0"),
        (vizlib.explain(MODEL, X[0], "saliency", (1, 0)), r"class \(1, 0\)"),
        (vizlib.explain(MODEL, (-X)[0], "saliency", 1), "another picture"),
        (vizlib.explain(zoo.model("resnet"), zoo.inputs("resnet")[0], "saliency", 1), "not of Linear"),
    ):
        with pytest.raises(vizlib.MethodError, match=words):
            yardstick.score(found)
        with pytest.raises(vizlib.MethodError, match=words):
            yardstick.curves(found)
    with pytest.raises(vizlib.MethodError, match="no class"):
        FaithfulnessScorer(MODEL, X, lambda logits: logits[:, 1])
    with pytest.raises(vizlib.MethodError, match="One image"):
        FaithfulnessScorer(MODEL, torch.cat([X, X]))
    assert FaithfulnessScorer(MODEL, X).target == int(MODEL(X).argmax())


def test_scores_tell_how_far_they_are_and_stop_when_told_to() -> None:
    told: list[tuple[float, float | None]] = []
    found, yardstick = vizlib.explain(MODEL, X[0], "occlusion", 1), FaithfulnessScorer(MODEL, X, 1)

    def listener(done: float, total: float | None = None, message: str | None = None) -> None:
        told.append((done, total))
        if len(told) == 20:
            raise vizlib.CancelledError("enough")

    with told_to(listener):
        with pytest.raises(vizlib.CancelledError):
            yardstick.score(found)
        told.extend([(0, 0)])
        scores = yardstick.score(found)  # what was cut short is measured again
    assert scores == evaluate(MODEL, X, found)
    rest = told[21:]
    assert [done for done, _ in rest] == sorted(done for done, _ in rest)
    assert len({total for _, total in rest}) == 1
    assert 0.9 < rest[-1][0] / rest[-1][1] < 1.3


def test_threads_share_a_yardstick() -> None:
    methods = ("input_x_gradient", "saliency", "occlusion")
    maps = [vizlib.explain(MODEL, X[0], method, 1) for method in methods]
    yardstick = FaithfulnessScorer(MODEL, X, 1)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda one: yardstick.score(one, ["deletion", "sensitivity_n"]), maps))
    assert found == [FaithfulnessScorer(MODEL, X, 1).score(one, ["deletion", "sensitivity_n"]) for one in maps]
