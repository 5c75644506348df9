"""What a report calls models and methods: titles wherever a reader looks, the names of files in files, code and data alone."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from handmade_audit import handmade

from vizlib.auditing.plan import MANIFEST
from vizlib.auditing.report.report_html import write_report
from vizlib.auditing.result import Audit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MODELS = ("vit_tiny50", "compact_vit_tiny50", "resnet_tiny50")
METHODS = ("grad_cam", "integrated_gradients", "integrated_gradients-2")
STEPS = {"integrated_gradients": 32, "integrated_gradients-2": 8}
PICTURES = 24
RANDOM = np.random.default_rng(6)


def row(picture: int, model: str, method: str) -> tuple[dict[str, Any], np.ndarray | None]:
    if picture == 5:
        return {"error": f"It has no label that {model} knows."}, None
    right = picture % 3 > 0
    grid_map = np.zeros((4, 4))
    grid_map[picture % 2, METHODS.index(method)] = 1
    answer = {"label": 0, "label_name": "cat", "prediction": int(not right), "predicted": ("dog", "cat")[right], "right": right}
    box = {"region_share": 0.4, "region_area": 0.3, "pointing": 1.0}
    score = float(RANDOM.normal(METHODS.index(method), 0.1))
    return {**answer, **box, "probability": 0.5, "evenness": 0.3, "score_deletion": score, "gaussian_deletion": 0.2}, grid_map


def heads(model: str, pictures: int) -> dict[str, np.ndarray]:
    if model == "resnet_tiny50":
        return {}
    return {f"{measure}.blocks.0": RANDOM.random((pictures, 3)).astype(np.float32) for measure in ("distance", "entropy")}


def features(model: str, pictures: Sequence[int]) -> dict[str, np.ndarray]:
    layer = "layers.0" if model == "compact_vit_tiny50" else "blocks.0"  # so that there is no CKA of its layers
    return {f"features.000.{layer}": RANDOM.normal(size=(len(pictures), 3)).astype(np.float32)}


def lens(_model: str, pictures: Sequence[int]) -> dict[str, np.ndarray]:
    return {f"lens.000.blocks.{block}": RANDOM.random((len(pictures), 4)).astype(np.float32).round() for block in range(2)}


def made(folder: Path, models: Sequence[str] = MODELS, options: dict[str, Any] | None = None) -> Audit:
    handmade(
        folder, PICTURES, row, models=models, methods=METHODS, heads=heads, features=features, lens=lens, scores=["deletion"]
    )  # fmt: skip
    facts = json.loads((folder / MANIFEST).read_text())
    for method in facts["methods"]:
        if method["name"] in STEPS:
            method |= {"method": "integrated_gradients", "options": {"steps": STEPS[method["name"]]} if options is None else options}
    facts["models"][0]["matched"] = "The 2 classes cannot be matched to the 50 of vit_tiny50: name the folders by label."
    facts["models"][-1]["no_lens"] = f"The earlier stages of {models[-1]} have no answer."
    (folder / MANIFEST).write_text(json.dumps(facts))
    return Audit(folder)


def seen(page: str) -> str:
    """What a reader can see: texts, and attributes that a browser shows or reads out."""
    page = re.sub(r"<(style|script|pre)\b.*?</\1>", " ", page, flags=re.DOTALL)
    shown = re.findall(r"""\b(?:title|alt|aria-label|data-tab|placeholder)=(?:"([^"]*)"|'([^']*)')""", page)
    texts = re.sub(r"<[^>]*>", " ", page)
    return html.unescape(" ".join([texts, *(one or other for one, other in shown)]))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    audit = made(tmp_path_factory.mktemp("names") / "a")
    return write_report(audit, audit.folder / "r.html").read_text(encoding="utf-8")


def test_a_reader_sees_titles_alone(page: str) -> None:
    words = seen(page)
    (line,) = re.findall(r"ViT is vit_tiny50,[^<]*in the files\.", words) or [""]
    words = words.replace(line, "")
    assert [(name, words[found.start() - 60 : found.end()]) for name in (*MODELS, *METHODS) for found in re.finditer(name, words)] == []
    for said in (
        "ViT is right on",
        "The only mistake of ViT is",
        "The Grad-CAM maps of",
        "From ViT to ResNet",
    ):
        assert said in words
    assert "It has no label that Compact ViT knows." in words
    assert "the 50 of ViT:" in words
    assert "Compact ViT and ResNet have other layers" in words
    assert "The earlier stages of ResNet" in words
    assert "ResNet has no attention" in words
    assert line == (
        "ViT is vit_tiny50, Compact ViT is compact_vit_tiny50, ResNet is resnet_tiny50, Grad-CAM is grad_cam, Integrated gradients is "
        "integrated_gradients and Integrated gradients (steps 8) is integrated_gradients-2 in the files."
    )


def test_what_scripts_and_code_go_by_stays(page: str) -> None:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    data = json.loads(match[1])
    assert data["models"] == list(MODELS)
    assert data["methods"] == list(METHODS)
    assert data["titles"]["models"] == ["ViT", "Compact ViT", "ResNet"]
    assert data["titles"]["methods"] == ["Grad-CAM", "Integrated gradients", "Integrated gradients (steps 8)"]
    assert "audit.maps(&quot;vit_tiny50&quot;, &quot;grad_cam&quot;)" in page


def test_bars_and_dots_have_the_models_colours(page: str) -> None:
    colours = {"ViT": "#2F7ED8", "Compact ViT": "#1892A8", "ResNet": "#7B858C"}  # the first, second and last of the eight
    for title, colour in colours.items():
        assert f'<tr style="--mark:{colour}"><td>{title}</td>' in page
    chart = page[page.index('data-tab="Attention distance by layer"') :]
    assert re.findall(r'<span style="--mark:(#\w+)"', chart[: chart.index("</figure>")]) == list(colours.values())


def test_those_that_would_be_called_the_same_keep_their_names(tmp_path: Path) -> None:
    audit = made(tmp_path / "a", models=("vit_tiny50", "ViT", "my_net=epoch-1"), options={})
    words = seen(write_report(audit, tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "What vit_tiny50, ViT and my_net=epoch-1 look at" in words
    assert "explained by Grad-CAM, integrated_gradients, integrated_gradients-2." in words
    assert "vit_tiny50, integrated_gradients-2: " in words
    assert "Grad-CAM is grad_cam in the files." in words
