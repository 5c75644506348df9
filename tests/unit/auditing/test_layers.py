"""What layers answer and hold over a set: the audit's lens and probes against the library's own, and against what was planted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from handmade_audit import handmade

import vizlib
from vizlib.auditing.overview.api import overview
from vizlib.auditing.overview.layer_probes import probe
from vizlib.auditing.overview.lens_means import lens_means
from vizlib.auditing.report.findings import findings
from vizlib.auditing.report.layer_section import lens_section, probe_section
from vizlib.auditing.report.report_html import write_report
from vizlib.errors import AuditError
from vizlib.stats import wilson

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RANDOM = np.random.default_rng(4)
PICTURES = 40
# After the first of three blocks 30 of 40 answer as in the end, after the second 20; 10 of them in both.
FIRST = np.arange(PICTURES) < 30
SECOND = np.arange(PICTURES) >= 20
SHARES = RANDOM.uniform(size=(3, PICTURES)).astype(np.float32)
PLANTED = np.eye(2, dtype=np.float32)[np.arange(PICTURES) % 2] + RANDOM.normal(size=(PICTURES, 2)).astype(np.float32) / 100
NOISE = RANDOM.normal(size=(PICTURES, 2)).astype(np.float32)


def row(picture: int, _model: str, _method: str) -> tuple[dict[str, Any], np.ndarray]:
    facts: dict[str, Any] = {"class": picture % 2, "prediction": 1, "predicted": "cat", "probability": 0.5}
    if picture < 20:
        facts |= {"label": 1, "label_name": "cat", "right": True}
    return facts | {"evenness": 0.3}, np.ones((2, 2))


def lens(_model: str, pictures: Sequence[int]) -> dict[str, np.ndarray]:
    chosen = list(pictures)
    answers = [np.where(FIRST, 1, 0), np.where(SECOND, 1, 0), np.ones(PICTURES)]
    return {
        f"lens.{number:03d}.blocks.{number}": np.stack(
            [answers[number], SHARES[number], SHARES[number], np.full(PICTURES, np.nan)], 1
        ).astype(np.float32)[chosen]
        for number in range(3)
    }


def features(_model: str, pictures: Sequence[int]) -> dict[str, np.ndarray]:
    chosen = list(pictures)
    return {"features.000.blocks.0": NOISE[chosen], "features.001.blocks.1": NOISE[chosen], "token.001.blocks.1": PLANTED[chosen]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return handmade(tmp_path_factory.mktemp("layers") / "a", PICTURES, row, lens=lens, features=features)


def test_answers_are_counted_block_by_block(made: Any) -> None:
    (found,) = lens_means(made)
    assert [block.final for block in found.blocks] == [(n / 40, *wilson(n, 40)) for n in (30, 20, 40)]
    assert [block.right for block in found.blocks] == [(n / 20, *wilson(n, 20)) for n in (20, 0, 20)]  # of the twenty with a label
    assert [block.probability[0] for block in found.blocks] == pytest.approx(SHARES.mean(1).tolist())
    assert found.settled == (10, 10, 20)  # ten from the first on, ten more from the second, twenty in the last alone
    assert found.half == "blocks.1"


def test_what_was_planted_is_read_off_the_token_that_holds_it(made: Any) -> None:
    (found,) = overview(made).probes
    assert (found.pictures, found.classes, found.chance) == (40, 2, 0.5)
    assert [(each.layer, each.token) for each in found.probes] == [("blocks.0", False), ("blocks.1", False), ("blocks.1", True)]
    assert found.best.token
    assert found.best.linear == found.best.nearest == (1.0, *wilson(40, 40))
    assert found.probes[0].linear[0] < 0.8


def test_folds_see_no_picture_twice() -> None:
    """Features that tell the pictures apart but not their classes: what was seen before would be known again."""
    apart, classes = np.eye(60), np.arange(60) % 3
    linear, nearest = probe(apart, classes)
    assert linear[0] < 0.5
    assert nearest[0] < 0.5


def test_sections_and_sentences_are_made_of_these_numbers(made: Any, tmp_path: Path) -> None:
    view = overview(made)
    sentences = findings(view)
    assert any(
        sentence.startswith("m: in 20 of 40 pictures the answer stays from layer 2 of 3 on; after layer 2") for sentence in sentences
    )
    best = "m: a linear probe reads the class best off layer 2, first learned token, 100.0\u00a0% (91.2 to 100.0\u00a0%);"
    assert any(sentence.startswith(best) for sentence in sentences)
    answers, probes = lens_section(view), probe_section(view)
    assert answers is not None
    assert probes is not None
    assert answers.tabs[0][1].count("75.0\u00a0%") == 1
    assert "first learned token" in probes.tabs[0][1]
    html = write_report(made, tmp_path / "r.html").read_text(encoding="utf-8")
    assert answers.title in html
    assert probes.title in html
    plain = overview(handmade(tmp_path / "plain", 4, row))
    assert lens_section(plain) is None
    assert probe_section(plain) is None


def test_an_audit_keeps_what_the_library_finds(tmp_path: Path) -> None:
    pictures = {str(number): RANDOM.integers(0, 255, (64, 64, 3), dtype=np.uint8) for number in range(3)}
    pictures["torn"] = b"no picture"
    models = [vizlib.load("vit_tiny50"), vizlib.load("resnet_tiny50")]
    audit = vizlib.audit(pictures, models, "grad_cam", tmp_path / "a", lens=True, features=True)
    assert vizlib.Audit.open(tmp_path / "a").facts["lens"] is True
    ((_, kept),) = audit.lens_parts("vit_tiny50")
    for number in range(3):
        own = vizlib.analysis.logit_lens(models[0], pictures[str(number)], patches=False)
        rows = np.stack([kept[block][number] for block in own.blocks])
        np.testing.assert_array_equal(rows[:, 0], own.logits.argmax(1).numpy())
        np.testing.assert_allclose(rows[:, 1], own.probabilities.amax(1).numpy(), rtol=1e-5)
        np.testing.assert_allclose(rows[:, 2], own.probabilities[:, int(own.logits[-1].argmax())].numpy(), rtol=1e-4)
        assert np.isnan(rows[:, 3]).all()  # there are no labels
    assert all(np.isnan(values[3]).all() for values in kept.values())
    ((_, tokens),) = audit.feature_parts("vit_tiny50", token=True)
    trace = vizlib.trace(models[0], models[0].prepare(pictures["0"])[0])
    assert len(tokens) == len(trace.attention)
    assert np.isnan(tokens[0][3]).all()
    assert not list(audit.feature_parts("resnet_tiny50", token=True))
    found = {each.model: each for each in lens_means(audit)}
    assert "earlier stages" in found["resnet_tiny50"].missing
    assert "no class" in overview(audit).probes[0].missing
    without = vizlib.audit({"a": pictures["0"]}, models[0], "grad_cam", tmp_path / "b")
    with pytest.raises(AuditError, match="no answers by layer"):
        next(without.lens_parts("vit_tiny50"))


def test_the_token_that_is_kept_is_the_layers_own(tmp_path: Path) -> None:
    """The first token after the last block, once more by a hook on the module itself."""
    model, seen = vizlib.load("vit_tiny50"), []
    picture = RANDOM.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    audit = vizlib.audit({"a": picture}, model, "grad_cam", tmp_path / "a", features=True)
    ((_, tokens),) = audit.feature_parts("vit_tiny50", token=True)
    handle = list(model.module.blocks)[-1].register_forward_hook(lambda _module, _inputs, output: seen.append(output))  # type: ignore[attr-defined]
    try:
        with torch.inference_mode():
            model.module(model.prepare(picture))
    finally:
        handle.remove()
    np.testing.assert_allclose(tokens[-1][0], seen[0][0, 0].numpy(), rtol=1e-4, atol=1e-5)
