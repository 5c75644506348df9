"""Scores of maps over a set, and which method is ahead: against the scorer of one picture, and against cases worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from handmade_audit import handmade

import vizlib
from vizlib.auditing.overview.api import overview
from vizlib.auditing.report.findings import findings
from vizlib.auditing.report.report_data import gallery_data
from vizlib.auditing.report.score_section import score_section
from vizlib.errors import MethodError
from vizlib.stats import mean_bootstrap

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(8)
GOOD, EVEN = RANDOM.normal(0.5, 0.1, 30), RANDOM.normal(0.0, 0.1, 30)
METHODS = ("rollout", "saliency", "relevance")


def row(picture: int, _model: str, method: str) -> tuple[dict[str, Any], np.ndarray]:
    own = {"rollout": GOOD, "saliency": EVEN, "relevance": GOOD + 1e-4 * RANDOM.normal(size=30)}[method][picture]
    return {"evenness": 0.3, "score_deletion": own, "gaussian_deletion": 0.2}, np.ones((2, 2))


def test_a_lead_has_the_sign_of_what_is_better(tmp_path: Path) -> None:
    audit = handmade(tmp_path / "a", 30, row, methods=METHODS, scores=["deletion"])
    view = overview(audit)
    (found,) = view.scores
    by_method = {each.method: each for each in found.scores}
    assert by_method["rollout"].value[0] == pytest.approx(GOOD.mean(), rel=1e-5)
    assert by_method["rollout"].ahead[0] == pytest.approx(0.2 - GOOD.mean(), rel=1e-5)  # of deletion, less is better
    leads = {(lead.first, lead.second): lead for lead in found.leads}
    lost = leads["rollout", "saliency"]
    assert lost.mean == pytest.approx((EVEN - GOOD).mean(), rel=1e-5)
    assert lost.high < 0
    assert (lost.low, lost.high) == pytest.approx(mean_bootstrap((EVEN - GOOD).astype(np.float32).astype(float), 1 - 0.05 / 3), abs=1e-4)
    assert not leads["rollout", "relevance"].told
    sentences = findings(view)
    assert any(
        sentence.startswith(f"m: by deletion, Saliency is ahead of Attention rollout by {-lost.mean:.3f} (") for sentence in sentences
    )
    assert any("Attention rollout and Attention relevance cannot be told apart" in sentence for sentence in sentences)
    section = score_section(view)
    assert section is not None
    assert "cannot be told" in section.tabs[0][1]
    columns = [column["name"] for column in gallery_data(view, {})["columns"]]
    assert columns[-1] == "score_deletion"


def test_an_audit_scores_as_the_scorer_of_one_picture(tmp_path: Path) -> None:
    model = vizlib.load("vit_tiny50")
    pictures = {str(number): RANDOM.integers(0, 255, (64, 64, 3), dtype=np.uint8) for number in range(2)}
    audit = vizlib.audit(pictures, model, ["grad_cam", "saliency"], tmp_path / "a", scores=["sensitivity_n"])
    rows = audit.rows(["path", "method", "score_sensitivity_n", "gaussian_sensitivity_n"])
    assert len(rows) == 4
    for _, found in rows.iterrows():
        explanation = vizlib.explain(model, pictures[found["path"]], found["method"])
        score = vizlib.evaluate(model, pictures[found["path"]], explanation, ["sensitivity_n"])["sensitivity_n"]
        assert found["score_sensitivity_n"] == pytest.approx(score.value, rel=1e-3, abs=1e-4)
        assert found["gaussian_sensitivity_n"] == pytest.approx(score.gaussian, rel=1e-3, abs=1e-4)


def test_a_score_that_makes_its_map_again_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    picture = {"a": np.zeros((32, 32, 3), np.uint8)}
    with pytest.raises(MethodError, match="makes each explanation again"):
        vizlib.audit(picture, "vit_tiny50", "grad_cam", tmp_path / "a", scores=["max_sensitivity"])
    with pytest.raises(MethodError, match="metric"):
        vizlib.audit(picture, "vit_tiny50", "grad_cam", tmp_path / "a", scores=["nothing"])
    assert not (tmp_path / "a").exists()
