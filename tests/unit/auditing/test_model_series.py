"""From model to model: every number against one worked out another way, and the section that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from handmade_audit import handmade

import vizlib
from vizlib.analysis.features.cka import gram, hsic
from vizlib.auditing.overview.api import overview
from vizlib.auditing.report.findings import findings
from vizlib.auditing.report.report_html import write_report
from vizlib.auditing.report.series_section import series_section
from vizlib.errors import AuditError
from vizlib.stats import share_difference, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vizlib.auditing.result import Audit

EPOCHS = ("net=epoch-1", "net=epoch-2", "net=epoch-3")
RIGHT = {"net=epoch-1": 4, "net=epoch-2": 10, "net=epoch-3": 16}
RANDOM = np.random.default_rng(2)
STATES = {(epoch, layer): RANDOM.normal(size=(16, 6)).astype(np.float32) for epoch in EPOCHS for layer in (0, 1)}
STATES["net=epoch-2", 1] = 3 * STATES["net=epoch-3", 1] + 1  # the same arrangement, at another place and scale


def row(picture: int, model: str, _method: str) -> tuple[dict[str, Any], np.ndarray]:
    grid_map = np.zeros((4, 4))
    grid_map[0, 0] = 1
    if model == "net=epoch-1" and picture < 3:
        grid_map = np.roll(grid_map, 2, 1)
    right = picture < RIGHT[model]
    facts = {"label": 0, "label_name": "cat", "prediction": int(not right), "predicted": "cat", "right": right, "probability": 0.5}
    return facts | {"evenness": 0.3, "region_share": 0.4, "region_area": 0.3, "pointing": 1.0}, grid_map


def features(model: str, pictures: Sequence[int]) -> dict[str, np.ndarray]:
    return {f"features.{layer:03d}.blocks.{layer}": STATES[model, layer][list(pictures)] for layer in (0, 1)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return handmade(tmp_path_factory.mktemp("run") / "a", 16, row, models=EPOCHS, features=features)


def test_each_step_is_against_the_last(run: Audit) -> None:
    series = overview(run).series
    assert series is not None
    first, second, last = series.steps
    assert [step.right for step in series.steps] == [(RIGHT[epoch] / 16, *wilson(RIGHT[epoch], 16)) for epoch in EPOCHS]
    assert first.apart["rollout"][0] == pytest.approx(3 / 16)
    assert second.apart["rollout"][0] == 0
    assert last.apart == {}
    assert last.cka == {}
    assert first.gain["rollout"][0] == pytest.approx(0.1)
    assert "statistics of heads" in series.missing["distance"]


def test_cka_is_that_of_the_parts(run: Audit) -> None:
    series = overview(run).series
    assert series is not None
    own, other = (STATES[epoch, 0] for epoch in (EPOCHS[0], EPOCHS[2]))
    sums = np.zeros(3)
    for start in (0, 8):  # the parts of this audit
        k, m = (gram(torch.from_numpy(states[start : start + 8]), "linear") for states in (own, other))
        sums += [hsic(k, m), hsic(k, k), hsic(m, m)]
    assert series.steps[0].cka["blocks.0"][0] == pytest.approx(sums[0] / np.sqrt(sums[1] * sums[2]))
    assert series.steps[1].cka["blocks.1"] == pytest.approx((1, 1, 1))


def test_pictures_that_changed_most_come_first(run: Audit) -> None:
    view = overview(run)
    assert [picked.row["picture"] for picked in view.first["from_last", EPOCHS[0], "rollout"]] == [0, 1, 2]
    assert not view.first["from_last", EPOCHS[2], "rollout"]


def test_a_sentence_says_how_accuracy_went(run: Audit) -> None:
    sentences = findings(overview(run))
    low, high = share_difference(16, 16, 4, 16)
    ends = f"{100 * low:+.1f} to {100 * high:+.1f}"
    went = "goes from 25.0\u00a0% to 100.0\u00a0%: +75.0\u00a0percentage\u00a0points"
    assert f"From net=epoch-1 to net=epoch-3 the share of right answers {went} (95\u00a0%: {ends})." in sentences
    assert [sentence[: sentence.index("lie") + 3] for sentence in sentences if "apart" in sentence] == [
        f"The Attention rollout maps of {first} and net=epoch-3 lie" for first in ("net=epoch-1", "net=epoch-2")
    ]


def test_the_section_shows_them(run: Audit, tmp_path: Path) -> None:
    section = series_section(overview(run))
    assert section is not None
    assert [title for title, _ in section.tabs] == ["Numbers", "CKA to the last by layer"]
    assert "62.5\u00a0%" in section.tabs[0][1]
    assert "layer 2: 1" in section.tabs[1][1]
    assert "From model to model" in write_report(run, tmp_path / "r.html").read_text(encoding="utf-8")
    alone = handmade(tmp_path / "alone", 4, row, models=EPOCHS[:1])
    assert series_section(overview(alone)) is None


def test_features_are_the_means_over_cells(tmp_path: Path) -> None:
    from vizlib.analysis.features.layers import read

    pictures = {str(number): RANDOM.integers(0, 255, (64, 64, 3), dtype=np.uint8) for number in range(3)}
    pictures["torn"] = b"no picture"
    model = vizlib.load("resnet_tiny50")
    audit = vizlib.audit(pictures, model, "grad_cam", tmp_path / "a", features=True)
    reading = read(model, torch.cat([model.prepare(pictures[str(number)]) for number in range(3)]))
    assert audit.features("resnet_tiny50") == [layer.name for layer in reading.layers]
    ((first, kept),) = audit.feature_parts("resnet_tiny50")
    assert first == 0
    for states, rows in zip(reading.states, kept, strict=True):
        np.testing.assert_allclose(rows[:3], states.mean(1).numpy(), rtol=1e-4, atol=1e-5)
        assert np.isnan(rows[3]).all()
    without = vizlib.audit({"a": pictures["0"]}, model, "grad_cam", tmp_path / "b")
    with pytest.raises(AuditError, match="no features"):
        without.features("resnet_tiny50")


def test_models_without_labels_are_not_told_as_epochs(tmp_path: Path) -> None:
    def make(picture: int, model: str, method: str) -> tuple[dict[str, Any], np.ndarray]:
        return {"prediction": 0, "predicted": "cat", "probability": 0.5, "evenness": 0.5}, np.ones((2, 2))

    section = series_section(overview(handmade(tmp_path / "a", 4, make, models=("a", "b"))))
    assert section is not None
    assert section.hint == "The models in the order of the audit, each against the last, b."
    assert "so there is no distance of attention" in section.exactly
