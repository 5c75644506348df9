"""Tests of maps by papers' own definitions, against small implementations pixel by pixel, and the command that makes a table again."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import exam_cases as cases
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from tiny_data import folder_layout
from typer.testing import CliRunner

import vizlib
from vizlib.cli import app
from vizlib.evaluation.published import PROTOCOLS, published_protocol
from vizlib.evaluation.published.petsiuk2018 import blurred
from vizlib.evaluation.published.runner import run_published

if TYPE_CHECKING:
    from pathlib import Path

MODEL = cases.model()
X = MODEL.prepare(cases.photograph(0, box=(8, 8, 40, 47)))
LABEL = 0
# Noise, and a map that is higher on the object.
VALUES = torch.rand(64, 64, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
INSIDE = VALUES.clone()
INSIDE[8:48, 8:41] += 2


def logits(image: np.ndarray) -> np.ndarray:
    return MODEL(torch.from_numpy(image)[None].float()).detach().double().numpy()[0]


def probability(image: np.ndarray, index: int) -> float:
    shares = np.exp(logits(image) - logits(image).max())
    return float(shares[index] / shares.sum())


def test_chefer_2021_pixel_by_pixel() -> None:
    found = PROTOCOLS["chefer2021"].compute(MODEL, X, LABEL, {"predicted": VALUES, "target": INSIDE})
    by_hand = []
    for falling in (True, False):
        for values in (VALUES, INSIDE):
            order = np.argsort(values.numpy().ravel())
            hits = []
            for share in np.linspace(0, 0.9, 10):
                image = X[0].numpy().copy().reshape(3, -1)
                count = int(round(share, 1) * 4096)
                image[:, (order[::-1] if falling else order)[:count]] = -1.0  # black, by a mean and a deviation of a half
                hits.append(float(logits(image.reshape(3, 64, 64)).argmax() == LABEL))
            by_hand.append(100 * np.trapezoid(hits, np.linspace(0, 0.9, 10)))
    assert found == pytest.approx(by_hand)
    assert 0 < min(found) < max(found) < 90  # neither all right nor all wrong


def test_petsiuk_2018_pixel_by_pixel() -> None:
    found = PROTOCOLS["petsiuk2018"].compute(MODEL, X, LABEL, {"predicted": VALUES})
    delta = np.zeros((11, 11))
    delta[5, 5] = 1
    kernel, padded = gaussian_filter(delta, 5), np.pad(X[0].double().numpy(), ((0, 0), (5, 5), (5, 5)))
    blur = np.zeros((3, 64, 64))
    for down in range(11):
        for aside in range(11):
            blur += kernel[down, aside] * padded[:, down : down + 64, aside : aside + 64]
    np.testing.assert_allclose(blurred(X)[0].numpy(), blur, atol=1e-6)
    order, by_hand = np.argsort(-VALUES.numpy().ravel()), []
    for start, end in ((X[0].double().numpy(), np.zeros((3, 64, 64))), (blur, X[0].double().numpy())):
        curve = []
        for step in range(65):
            image = start.copy().reshape(3, -1)
            image[:, order[: step * 64]] = end.reshape(3, -1)[:, order[: step * 64]]
            curve.append(probability(image.reshape(3, 64, 64), LABEL))
        by_hand.append((sum(curve) - curve[0] / 2 - curve[-1] / 2) / 64)
    assert found == pytest.approx(by_hand, abs=1e-6)


def test_samek_2017_region_by_region() -> None:
    found = PROTOCOLS["samek2017"].compute(MODEL, X, LABEL, {"predicted": VALUES})
    regions = {
        (row, column): float(VALUES[9 * row : 9 * row + 9, 9 * column : 9 * column + 9].sum()) for row in range(7) for column in range(7)
    }
    generator, falls = torch.Generator().manual_seed(0), []
    for _ in range(10):
        noise = 2 * torch.rand(1, 3, 64, 64, generator=generator) - 1
        image = X.clone()
        fall = [0.0]
        for row, column in sorted(regions, key=regions.__getitem__, reverse=True):
            here = (..., slice(9 * row, 9 * row + 9), slice(9 * column, 9 * column + 9))
            image[here] = noise[here]
            fall.append(float(logits(X[0].numpy())[LABEL] - logits(image[0].numpy())[LABEL]))
        falls.append(np.mean(fall))
    assert found == pytest.approx([np.mean(falls)], abs=1e-4)


def test_a_map_of_the_class_does_better_than_its_opposite_in_every_column() -> None:
    true = (torch.zeros(64, 64, dtype=torch.float64)).index_fill(0, torch.arange(8, 48), 1)
    for card in PROTOCOLS.values():
        right, wrong = (card.compute(MODEL, X, LABEL, dict.fromkeys(card.maps, sign * true)) for sign in (1, -1))
        for up, one, other in zip(card.columns.values(), right, wrong, strict=True):
            assert one > other if up else one < other


def test_scores_of_methods_and_reasons_for_none() -> None:
    pictures = [(cases.photograph(label, number), label) for number in range(3) for label in range(5)]
    scores, unreadable = run_published("chefer2021", MODEL, [(b"no picture", 0), *pictures], ["saliency", "rollout"], count=16)
    assert len(unreadable) == 1
    by_place = {(score.method, score.column): score for score in scores}
    assert by_place["rollout", "positive, target"].refused
    score = by_place["saliency", "negative, target"]
    assert (score.pictures, score.higher_is_better) == (15, True)
    assert score.low <= score.value <= score.high
    again, _ = run_published("chefer2021", MODEL, [(b"no picture", 0), *pictures], ["saliency"], count=16)
    assert again == scores[:4]


def test_an_unknown_protocol_names_the_nearest() -> None:
    assert published_protocol("chefer2021").title == "Perturbation AUC"
    with pytest.raises(vizlib.MethodError, match="Did you mean 'chefer2021'"):
        published_protocol("chefer2020")


def test_a_table_made_again(tmp_path: Path) -> None:
    home, table = folder_layout(tmp_path / "data"), tmp_path / "table.md"
    words = ["exam", "vit_tiny50=random", "--as", "petsiuk2018", "--data", str(home), "--methods", "rollout,guided_backprop"]
    # The fifty classes do not have the two of the folder by name, so that they are told apart by number where they cannot be matched.
    result = CliRunner().invoke(app, [*words, "--questions", "3"])
    assert result.exit_code == 2
    assert "cannot be matched" in result.stderr
    plain = tmp_path / "plain"
    for label in range(2):
        (plain / "val" / str(label)).mkdir(parents=True)
        for number, file in enumerate(sorted((home / "val" / "images").glob(f"val_{label}_*"))):
            (plain / "val" / str(label) / f"{number}.jpg").write_bytes(file.read_bytes())
    words[words.index(str(home))] = str(plain)
    result = CliRunner().invoke(app, [*words, "--questions", "3", "--markdown", str(table), "--json"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["method"], row["column"]) for row in rows[:2]] == [("rollout", "deletion"), ("rollout", "insertion")]
    assert rows[2]["refused"]
    text = table.read_text(encoding="utf-8")
    assert f"| Attention rollout | {rows[0]['value']:.2f} (" in text
    assert "ReLU" in text
    for wrong in (["--as", "petsiuk2018"], [*words[2:6], "--exams", "known"]):
        assert CliRunner().invoke(app, ["exam", "vit_tiny50=random", *wrong]).exit_code == 2


def test_records_are_whole_and_read_without_torch() -> None:
    for name, card in PROTOCOLS.items():
        assert card.name == name
        assert card.definition.endswith(".")
        assert card.paper_url.startswith("https://arxiv.org/abs/")
    code = "import sys, vizlib.evaluation.published; print([name for name in ('torch', 'numpy', 'cv2') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
