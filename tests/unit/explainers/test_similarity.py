"""Similarity as a target: the same map as a function of the features, on every method, and kept with what it was held against."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from torch import nn
from typer.testing import CliRunner

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.cli import app
from vizlib.zoo.weights import fill_random

if TYPE_CHECKING:
    from pathlib import Path

SPECIFIC = [name for name, card in METHODS.items() if card.class_specific]


def headless(name: str = "token") -> vizlib.Model:
    module = zoo.ALL[name]()
    module.reset_classifier(0)
    fill_random(module)
    return vizlib.wrap(module.eval(), input_size=32)


def by_hand(model: vizlib.Model, x: torch.Tensor, reference: torch.Tensor):
    own = model(x[None])[0].detach().double()
    return lambda features: features @ (reference.double() / own.norm() / reference.double().norm()).to(features)


@pytest.mark.parametrize("method", SPECIFIC)
def test_every_method_explains_it_as_that_function_of_the_features(method: str) -> None:
    model, (x, other) = headless(), zoo.inputs("token", 2)
    if METHODS[method].refusal({need: why for need, why in model.adapter.refusals.items() if need != "head"}):
        pytest.skip("no ReLUs")
    reference = model(other[None])[0].detach()
    expected = vizlib.explain(model, x, method, by_hand(model, x, reference), **zoo.few(method))
    for given in (other, reference, reference.numpy()):
        found = vizlib.explain(model, x, method, vizlib.similar_to(given), **zoo.few(method))
        assert np.allclose(found.input_map, expected.input_map, rtol=1e-4, atol=1e-6 * np.abs(expected.input_map).max())
        assert found.target is None
        assert found.label.startswith("similar to")


def test_the_score_is_the_cosine_at_the_picture_itself() -> None:
    model, (x, other) = headless(), zoo.inputs("token", 2)
    facts = vizlib.explain(model, x, "balanced", vizlib.similar_to(other)).facts
    cosine = torch.nn.functional.cosine_similarity(model(x[None]), model(other[None]))
    assert facts["score"] == pytest.approx(cosine.item(), abs=1e-6)
    assert vizlib.explain(model, x, "balanced", vizlib.similar_to("self")).facts["score"] == pytest.approx(1, abs=1e-6)


def test_each_picture_of_a_batch_is_like_itself() -> None:
    model, x = headless(), zoo.inputs("token", 2)
    together = vizlib.explain(model, x, "saliency", vizlib.similar_to("self"))
    for image, explanation in zip(x, together, strict=True):
        alone = vizlib.explain(model, image, "saliency", by_hand(model, image, model(image[None])[0].detach()))
        assert np.allclose(explanation.input_map, alone.input_map, rtol=1e-4, atol=1e-7)
        assert alone.input_map.any()


def test_it_fits_models_with_classes_too() -> None:
    model, (x, other) = zoo.model("swin"), zoo.inputs("swin", 2)
    assert vizlib.explain(model, x, "occlusion", vizlib.similar_to(other), stride=0.25).input_map.any()


def test_what_cannot_be_is_said_in_a_sentence() -> None:
    model, x = headless(), zoo.inputs("token")[0]
    with pytest.raises(vizlib.TargetError, match=r"24 features .* holds 5"):
        vizlib.explain(model, x, "saliency", vizlib.similar_to(torch.ones(5)))
    with pytest.raises(vizlib.TargetError, match="all zero"):
        vizlib.explain(model, x, "saliency", vizlib.similar_to(torch.zeros(24)))
    with pytest.raises(vizlib.TargetError, match="prepared tensor"):
        vizlib.similar_to(torch.zeros(2, 2))
    with pytest.raises(vizlib.ImageError):
        vizlib.similar_to("there is no such file.png")


def test_it_is_kept_and_made_again(tmp_path: Path) -> None:
    model = vizlib.load("vit_tiny50", checkpoint="random")
    pictures = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    for number, target in enumerate((vizlib.similar_to("self"), vizlib.similar_to(pictures[1]))):
        explanation = vizlib.explain(model, pictures[0], "balanced", target)
        again = vizlib.replay(explanation.save(tmp_path / str(number)))
        assert np.array_equal(again.input_map, explanation.input_map)
        assert again.label == explanation.label
    (tmp_path / "1" / "reference.npz").write_bytes(b"no archive")
    with pytest.raises(vizlib.TargetError, match="does not hold the features"):
        vizlib.replay(tmp_path / "1")


def test_the_command_takes_a_file_or_self(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(1)
    for name in ("one", "two"):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    common = ["explain", str(tmp_path / "one.png"), "--model", "vit_tiny50", "--checkpoint", "random", "--method", "saliency"]
    for number, reference in enumerate(("self", str(tmp_path / "two.png"))):
        arguments = [*common, "--similar-to", reference, "--out", str(tmp_path / str(number))]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert (tmp_path / str(number) / "one" / "reference.npz").is_file()
    refused = CliRunner().invoke(app, [*common, "--similar-to", "self", "--target", "1"])
    assert refused.exit_code == 2


def test_it_goes_to_workers_without_what_it_found() -> None:
    target = vizlib.similar_to(zoo.inputs("token")[0])
    vizlib.explain(headless(), zoo.inputs("token")[0], "saliency", target)
    assert torch.equal(pickle.loads(pickle.dumps(target)).reference, target.reference)  # noqa: S301  our own bytes


class Clip(nn.Module):
    """A tower that sees and a table that reads, as open_clip has them."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = headless().module
        self.words = nn.Embedding(50, 24)

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.words(tokens).sum(1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, None]:
        return nn.functional.normalize(self.visual(image), dim=-1), None


def test_a_sentence_is_a_target_where_open_clip_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(vizlib.TargetError, match="install it"):
        vizlib.says("a dog")
    monkeypatch.setitem(sys.modules, "open_clip", SimpleNamespace(tokenize=lambda texts: torch.tensor([[len(texts[0]), 3]])))
    module = Clip()
    fill_random(module)
    model = vizlib.wrap(module.eval(), part="visual", outputs=0, input_size=32)
    x = zoo.inputs("token")[0]
    explanation = vizlib.explain(model, x, "balanced", vizlib.says("a dog"))
    text = module.encode_text(torch.tensor([[5, 3]]))[0].detach()
    assert explanation.facts["score"] == pytest.approx(float(nn.functional.cosine_similarity(model(x[None])[0], text, dim=0)), abs=1e-6)
    with pytest.raises(vizlib.TargetError, match="reads no text"):
        vizlib.explain(headless(), x, "balanced", vizlib.says("a dog"))
    with pytest.raises(vizlib.TargetError, match="takes a sentence"):
        vizlib.says(" ")
