"""What a model's answer means: probabilities by softmax or sigmoid, one logit, and answers that are none in classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from torch import nn

import vizlib
from vizlib.analysis.logit_difference import integrated
from vizlib.analysis.perturbation.response_curves import response
from vizlib.catalog.methods import METHODS
from vizlib.compare import compare
from vizlib.datasets.labelled import LabelledPhotos
from vizlib.evaluation.exams.photographs import load_photographs
from vizlib.evaluation.faithfulness import FaithfulnessScorer
from vizlib.evaluation.region_score import region_score
from vizlib.figures.overlay import encode_png
from vizlib.model_report.accuracy import measure_accuracy
from vizlib.zoo.activation import divergence

X = zoo.inputs("resnet", 2)


class Answering(nn.Module):
    """A small convolutional network whose answer is made of its seven scores."""

    def __init__(self, answer=lambda scores: scores, classes: int = 7) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.conv, self.relu, self.fc = nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Linear(8, classes)
        self.answer = answer

    def forward(self, x):
        return self.answer(4 * self.fc(self.relu(self.conv(x)).mean((2, 3))))


def model(answer=lambda scores: scores, classes: int = 7, **given) -> vizlib.Model:
    return vizlib.wrap(Answering(answer, classes).eval(), input_size=32, **given)


def expected(logits: torch.Tensor, activation: str | None) -> torch.Tensor:
    wide = logits.detach().double()
    if activation == "identity":
        return wide
    return 1 / (1 + (-wide).exp()) if activation == "sigmoid" else wide.exp() / wide.exp().sum(-1, keepdim=True)


@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
def test_probabilities_are_those_of_the_activation(activation) -> None:
    own = model(activation=activation)
    assert (own.activation, own.card.activation) == (activation, activation)
    for row, predictions in zip(expected(own(X), activation), vizlib.predict(own, X, top=7), strict=True):
        assert [prediction.probability for prediction in predictions] == pytest.approx(sorted(row.tolist(), reverse=True), abs=1e-6)
        assert [prediction.index for prediction in predictions] == row.argsort(descending=True).tolist()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("target", [2, (2, 5)])
def test_what_is_measured_is_that_probability(activation, target) -> None:
    own = model(activation=activation)
    logits = own(X)[0].detach().double()
    chance = float(expected(logits, activation)[2] if target == 2 else expected(logits[2] - logits[5], "sigmoid"))
    region = np.zeros((32, 32), bool)
    region[:16] = True
    assert region_score(own, X[0], region, target).whole[0] == pytest.approx(chance, abs=1e-6)
    explanation = vizlib.explain(own, X[0], "saliency", target)
    curves = FaithfulnessScorer(own, X[0], target).curves(explanation)
    assert curves.deletion[0] == pytest.approx(chance, abs=1e-5)
    assert curves.insertion[-1] == pytest.approx(chance, abs=1e-5)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_exams_changes_and_differences_take_it_too(activation) -> None:
    own = model(activation=activation)
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    chances = expected(own(own.prepare(picture))[0], activation)
    assert load_photographs(own, [picture]).shares[0].tolist() == pytest.approx(chances.tolist(), abs=1e-6)
    assert integrated(own, picture, 3, steps=2).score == pytest.approx(
        float(chances[3].log()), abs=1e-3
    )  # the picture is not rounded on its way
    network = vizlib.wrap(zoo.model("resnet").module, input_size=32, activation=activation)
    measured = response(network, X[:1], "shift")
    assert measured.original.tolist() == pytest.approx(expected(network(X[:1])[0], activation).tolist(), abs=1e-6)


def test_divergence_is_that_of_the_classes_by_themselves_or_together() -> None:
    before, after = torch.tensor([[0.3, -2.0, 1.0]]).double(), torch.tensor([[1.3, 0.5, -1.0]]).double()
    p, q = expected(before, "softmax"), expected(after, "softmax")
    together = float((p * (p / q).log()).sum())
    assert float(divergence(before, after, "softmax")) == pytest.approx(together)
    assert float(divergence(p, q, "identity")) == pytest.approx(together)
    p, q = expected(before, "sigmoid"), expected(after, "sigmoid")
    apart = float((p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum())
    assert float(divergence(before, after, "sigmoid")) == pytest.approx(apart)
    assert float(divergence(p, q, "identity")) == pytest.approx(apart)


@pytest.mark.parametrize("last", [nn.Sigmoid(), nn.Softmax(-1)])
def test_probabilities_are_not_made_twice(last) -> None:
    chain = nn.Sequential(Answering(), last).eval()
    own = vizlib.wrap(chain, input_size=32)
    assert own.activation == "identity"
    row = sorted(chain(X)[0].tolist(), reverse=True)
    assert [prediction.probability for prediction in vizlib.predict(own, X[0], top=7)] == pytest.approx(row, abs=1e-6)
    assert vizlib.wrap(chain, input_size=32, activation="softmax").activation == "softmax"


@pytest.mark.parametrize(
    ("problem", "activation"), [("multi_label_classification", "sigmoid"), ("single_label_classification", "softmax"), (None, None)]
)
def test_transformers_classifiers_say_what_they_solve(problem, activation) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8, num_labels=4,
        problem_type=problem,
    )  # fmt: skip
    assert vizlib.wrap(transformers.ViTForImageClassification(config).eval(), input_size=32).activation == activation


@pytest.mark.parametrize("answer", [lambda scores: scores, lambda scores: scores[:, 0], lambda scores: scores.squeeze()])
@pytest.mark.parametrize("images", [1, 2])
def test_one_logit(answer, images) -> None:
    own, x = model(answer, classes=1), X[:images]
    assert own(x).shape == (images, 1)
    assert (own.num_classes, own.activation) == (1, "sigmoid")
    for logit, (prediction,) in zip(own(x)[:, 0].tolist(), vizlib.predict(own, x), strict=True):
        assert prediction.probability == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)
        assert prediction.logit == pytest.approx(logit)
    for method in METHODS:
        if method in own.card.methods:
            for explanation in vizlib.explain(own, x, method, **zoo.few(method)):
                assert explanation.target == 0
                assert explanation.input_map.any()
    assert vizlib.predict(model(classes=1, activation="softmax"), X[0])[0].probability == 1


def test_an_activation_that_there_is_not() -> None:
    for call in (lambda: model(activation="tanh"), lambda: vizlib.load("vit_tiny50", checkpoint="random", activation="relu")):
        with pytest.raises(vizlib.ModelError, match="softmax, sigmoid"):
            call()


def test_loaded_models_keep_it_for_the_replay(tmp_path) -> None:
    assert vizlib.load("vit_tiny50", checkpoint="random").activation == "softmax"
    own = vizlib.load("vit_tiny50", checkpoint="random", activation="sigmoid")
    assert (own.activation, own.card.activation, own.recipe["activation"]) == ("sigmoid", "sigmoid", "sigmoid")
    assert vizlib.load("vit_tiny50", checkpoint="random", num_classes=1).activation == "sigmoid"
    saved = vizlib.explain(own, torch.zeros(3, 64, 64), target=1).save(tmp_path)
    manifest = json.loads((saved / "explanation.json").read_text(encoding="utf-8"))
    assert manifest["recipe"].pop("activation") == "sigmoid"
    (saved / "explanation.json").write_text(json.dumps(manifest), encoding="utf-8")  # as earlier versions wrote it
    assert vizlib.replay(saved).target == 1


DENSE = {
    "maps": lambda scores: scores[:, :, None, None] * torch.linspace(0, 2, 12).view(1, 1, 3, 4),
    "tokens": lambda scores: scores[:, None, :] * torch.linspace(0, 2, 5).view(1, 5, 1),
}


@pytest.mark.parametrize("kind", DENSE)
@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "occlusion", "rise", "guided_backprop"])
def test_an_answer_at_many_places_is_explained_by_a_function_of_it(kind, method) -> None:
    def at_one_place(output: torch.Tensor) -> torch.Tensor:
        return output[:, 4, 1, 2] if kind == "maps" else output[:, 3, 4]

    factor = float(DENSE[kind](torch.ones(1, 7))[(0, 4, 1, 2) if kind == "maps" else (0, 3, 4)])
    own = vizlib.explain(model(DENSE[kind]), X, method, at_one_place, **zoo.few(method))
    plain = vizlib.explain(model(), X, method, 4, **zoo.few(method))
    for explanation, reference in zip(own, plain, strict=True):
        assert explanation.input_map.any()
        assert np.allclose(explanation.input_map, factor * reference.input_map, rtol=1e-4, atol=1e-5 * np.abs(reference.input_map).max())


def test_an_answer_at_many_places_is_none_in_classes() -> None:
    own = model(DENSE["maps"])
    with pytest.raises(vizlib.TargetError, match="predicts no classes"):
        vizlib.predict(own, X[0])
    assert own.num_classes == 0
    for target in (None, 1, (0, 1)):
        for fresh in (own, model(DENSE["maps"])):
            with pytest.raises((vizlib.TargetError, vizlib.MethodError), match=r"function of it|no classes"):
                vizlib.explain(fresh, X[0], "saliency", target)
    with pytest.raises(vizlib.ModelError, match="no answer in 7 classes"):
        model(DENSE["maps"], labels=list("abcdefg"))(X)
    assert own(X).shape == (2, 7, 3, 4)
    picture = np.full((32, 32, 3), 90, np.uint8)
    for call in (
        lambda fresh: load_photographs(fresh, [picture]),
        lambda fresh: integrated(fresh, picture, 1, steps=2),
        lambda fresh: region_score(fresh, X[0], np.ones((32, 32), bool), 1),
        lambda fresh: region_score(fresh, X[0], np.ones((32, 32), bool)),
        lambda fresh: FaithfulnessScorer(fresh, X[0], 1),
        lambda fresh: FaithfulnessScorer(fresh, X[0]),
        lambda fresh: vizlib.evaluate(fresh, X[0], vizlib.explain(fresh, X[0], "saliency", lambda output: output.mean((1, 2, 3)))),
        lambda fresh: measure_accuracy(fresh, LabelledPhotos([(encode_png(picture), 0)], [("0", "0")])),
        lambda fresh: compare([fresh, model()], [picture] * 4),
    ):
        with pytest.raises(vizlib.VizlibError):
            call(model(DENSE["maps"]))


@pytest.mark.parametrize("answer", [lambda scores: scores[0], lambda scores: scores.sum(), lambda scores: scores[:1]])
def test_an_answer_that_is_not_one_for_each_image(answer) -> None:
    with pytest.raises(vizlib.ModelError, match="one row for each"):
        vizlib.predict(model(answer), X)
