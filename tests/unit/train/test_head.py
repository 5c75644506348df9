"""A head on frozen features: the features are the model's own, runs go on, the penalty is chosen on training photographs alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from typer.testing import CliRunner

import vizlib
from vizlib.cli import app
from vizlib.errors import TrainingError
from vizlib.train import head
from vizlib.train.head import export_head, fit_head, frozen_features

if TYPE_CHECKING:
    from pathlib import Path

    from vizlib.datasets.tiny_imagenet import ImageSet
    from vizlib.zoo.model import Model

SIDE = 28


@pytest.fixture(scope="module")
def model() -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = VisionTransformer(img_size=SIDE, patch_size=14, embed_dim=24, depth=1, num_heads=2, num_classes=0)
    return vizlib.wrap(module.eval())


def clusters(count: int, classes: int, spread: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points around one centre for each class, on scales that differ by a thousand."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, 12))
    labels = np.arange(count) % classes
    points = (centres[labels] + spread * rng.normal(size=(count, 12))) * np.geomspace(0.01, 10, 12) + 5
    return torch.tensor(points, dtype=torch.float32), torch.from_numpy(labels)


def test_features_are_what_the_models_own_head_would_read(model: Model, splits: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
    features = frozen_features(model, splits[1], tmp_path)
    pictures = [np.ascontiguousarray(image.transpose(1, 2, 0)) for image in splits[1].images]
    with torch.inference_mode():
        expected = torch.cat([model.module(model.prepare(picture)) for picture in pictures])  # without classes it answers with them
    torch.testing.assert_close(features, expected)


def test_a_run_that_was_stopped_goes_on_with_what_is_left(
    model: Model, splits: tuple[ImageSet, ImageSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "CHUNK", 5)
    whole = frozen_features(model, splits[0], tmp_path / "whole")
    heard: list[int] = []

    def stop(there: int, _total: int) -> None:
        heard.append(there)
        if there == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        frozen_features(model, splits[0], tmp_path / "stopped", report=stop)
    assert heard == [5, 10]
    computed: list[int] = []
    original = head._features
    monkeypatch.setattr(head, "_features", lambda *args: (computed.append(len(args[1])), original(*args))[1])
    torch.testing.assert_close(frozen_features(model, splits[0], tmp_path / "stopped"), whole, rtol=0, atol=0)
    assert computed == [2]


def test_features_of_other_photographs_or_weights_are_not_taken(model: Model, splits: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
    frozen_features(model, splits[0], tmp_path)
    with pytest.raises(TrainingError, match="name another folder"):
        frozen_features(model, splits[1], tmp_path)
    with pytest.raises(TrainingError, match="name another folder"):
        frozen_features(model, splits[0], tmp_path, precision=torch.bfloat16)


def test_the_head_equals_an_independent_solver_and_takes_features_as_they_are() -> None:
    from scipy.optimize import minimize

    features, labels = clusters(120, 3, 0.8, 1)
    fitted = fit_head(features, labels, 3)
    x = (features.double().numpy() - features.double().numpy().mean(0)) / features.double().numpy().std(0, ddof=1)
    chosen = np.eye(3)[labels.numpy()]

    def loss(flat: np.ndarray) -> float:
        weight, bias = flat[:36].reshape(3, 12), flat[36:]
        logits = x @ weight.T + bias
        most = logits.max(1, keepdims=True)
        log_sums = most[:, 0] + np.log(np.exp(logits - most).sum(1))
        return float((log_sums - (logits * chosen).sum(1)).mean() + fitted.penalty / 2 * (weight**2).sum())

    best = minimize(loss, np.zeros(39), method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-8}).x
    expected = x @ best[:36].reshape(3, 12).T + best[36:]
    ours = fitted.logits(features).double().numpy()
    softmax = [np.exp(logits - logits.max(1, keepdims=True)) for logits in (expected, ours)]
    np.testing.assert_allclose(*(values / values.sum(1, keepdims=True) for values in softmax), atol=2e-3)


def test_the_penalty_is_the_one_that_held_out_photographs_of_each_class_prefer() -> None:
    features, labels = clusters(200, 4, 3.0, 2)
    fitted = fit_head(features, labels, 4)
    assert fitted.penalty == max(fitted.held_out, key=lambda penalty: (fitted.held_out[penalty], penalty))
    assert sorted(fitted.held_out) == sorted(head.PENALTIES)
    held_out = head._held_out(labels, 4, 0)
    assert [int((held_out & (labels == label)).sum()) for label in range(4)] == [10] * 4
    best = fitted.held_out[fitted.penalty]
    weight, bias, _ = head._fitted(features[~held_out], labels[~held_out], 4, fitted.penalty, None)
    right = ((features[held_out] @ weight.T + bias).argmax(1) == labels[held_out]).float().mean()
    assert abs(float(right) - best) <= 0.05  # a warm start ends a little elsewhere


@pytest.mark.parametrize(("enough", "written"), [(0.0, True), (1.01, False)])
def test_only_a_head_that_is_good_enough_is_shipped(
    model: Model, splits: tuple[ImageSet, ImageSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enough: float, written: bool
) -> None:
    monkeypatch.setattr(head, "SHIPPED_FROM", enough)
    train, val = splits
    fitted = fit_head(frozen_features(model, train, tmp_path / "train"), torch.from_numpy(train.labels), 2)
    features = frozen_features(model, val, tmp_path / "val")
    facts, path = export_head(model, fitted, features, train, val, "vizlib train head", tmp_path / "heads")
    right = fitted.logits(features).argmax(1).numpy() == val.labels
    assert facts["accuracy"]["top1"] == right.mean()
    assert (path is not None) == (tmp_path / "heads").exists() == written
    if path is not None:
        state = load_file(path)
        assert torch.equal(state["head.weight"], fitted.weight)
        assert torch.equal(state["head.bias"], fitted.bias)
        assert json.loads(path.with_suffix(".json").read_text()) == facts


def test_models_that_have_classes_are_refused(tmp_path: Path) -> None:
    from tiny_data import folder_layout

    result = CliRunner().invoke(app, ["train", "head", "resnet_tiny50", "--data", str(folder_layout(tmp_path))])
    assert result.exit_code == 2
