"""A metric is one record: what reads it, and that reading it takes no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_evaluate import MODEL, X

import vizlib
from vizlib.evaluation.metrics import METRICS, metrics_named
from vizlib.evaluation.shared_material import SharedMaterial

FOLDER = Path(vizlib.__file__).parent / "evaluation" / "metrics"


def test_every_file_of_the_folder_is_a_metric_of_its_name() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "metric"}
    assert files == set(METRICS)
    assert all(metric.name == name for name, metric in METRICS.items())


@pytest.mark.parametrize("name", METRICS)
def test_a_record_is_whole_and_its_function_names_its_paper(name: str) -> None:
    metric = METRICS[name]
    assert metric.title
    assert metric.definition.endswith(f"{'Higher' if metric.higher_is_better else 'Lower'} is better.")
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert "et al." in text
    assert "https://arxiv.org/abs/" in text


def test_the_badge_stands_on_these() -> None:
    roles = {name: metric.badge for name, metric in METRICS.items() if metric.badge not in ("listed", "apart")}
    assert roles == {"deletion": "required", "insertion": "decisive", "sensitivity_n": "decisive"}


def test_metrics_by_name() -> None:
    assert [metric.name for metric in metrics_named()] == [name for name in METRICS if name != "road"]
    assert metrics_named(["road"]) == [METRICS["road"]]
    assert metrics_named(["insertion", "deletion"]) == [METRICS["insertion"], METRICS["deletion"]]
    assert metrics_named([]) == []
    with pytest.raises(vizlib.MethodError, match="Did you mean 'infidelity'"):
        metrics_named(["deletion", "infidelty"])


def test_what_metrics_share_is_counted_once() -> None:
    material, found = SharedMaterial(MODEL, X, 1), vizlib.explain(MODEL, X[0], "saliency", 1)
    costs = {name: dict(metric.cost(material, found)) for name, metric in METRICS.items()}
    assert costs["sensitivity_n"] == costs["infidelity"]
    assert sum(costs["sensitivity_n"].values()) == 3 * 4 * 32
    assert costs["deletion"].keys() != costs["insertion"].keys()
    assert sum(costs["deletion"].values()) == 3 * 33 * 22
    with torch.no_grad():
        METRICS["deletion"].score(material, found)
        # What no comparison has needed so far is counted still: another map may need it.
        assert 3 * 33 < sum(METRICS["deletion"].cost(material, found).values()) < 3 * 33 * 22
        material.removal_curves(material.control_maps, insert=False)
    assert sum(METRICS["deletion"].cost(material, found).values()) == 3 * 33


def test_records_are_read_without_torch() -> None:
    code = "import sys, vizlib.evaluation.metrics; print([name for name in ('torch', 'numpy', 'cv2') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
