"""The manifest of a saved explanation as anybody may have changed it: replayed, or one sentence that says what is wrong with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import vizlib

if TYPE_CHECKING:
    from pathlib import Path

ODD: list[Any] = [
    None, True, -1, 1, 10**30, 1.5, float("nan"), "", "x", "../image.png", "/etc/passwd", "cat" * 500, "random",
    [], [1], [1, 2], [1, 2, 3], ["a", "b"], [None, 1], [[1, 2]], {}, {"a": 1},
]  # fmt: skip
FIELDS = ("method", "options", "model", "recipe", "target", "label", "fit", "input", "replayable", "obstacle", "format", "notes")
RECIPE = ("name", "checkpoint", "sha256", "num_classes", "image_size", "labels", "dtype", "activation")


@pytest.fixture(scope="module", params=["a picture", "a tensor"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = vizlib.load("vit_tiny50", checkpoint="random", num_classes=3)
    image: Any = np.zeros((20, 30, 3), np.uint8) if request.param == "a picture" else torch.zeros(3, 64, 64)
    explanation: Any = vizlib.explain(model, image, "rollout", (1, 2))
    return explanation.save(tmp_path_factory.mktemp("saved"))


def replayed(folder: Path, content: str) -> bool:
    path = folder / "explanation.json"
    before = path.read_text(encoding="utf-8")
    try:
        path.write_text(content, encoding="utf-8")
        explanation = vizlib.replay(folder)
    except vizlib.VizlibError:
        return False
    finally:
        path.write_text(before, encoding="utf-8")
    assert isinstance(explanation, vizlib.Explanation)
    return True


def changed(folder: Path, where: str, field: str, *value: Any) -> str:
    manifest = json.loads((folder / "explanation.json").read_text(encoding="utf-8"))
    table = manifest["recipe"] if where == "recipe" else manifest
    table.pop(field, None)
    if value:
        table[field] = value[0]
    return json.dumps(manifest)


@pytest.mark.parametrize(("where", "field"), [("manifest", field) for field in FIELDS] + [("recipe", field) for field in RECIPE])
def test_every_field_may_hold_anything(saved: Path, where: str, field: str) -> None:
    accepted = [value for value in ODD if replayed(saved, changed(saved, where, field, value))]
    unread = {"model", "label", "obstacle", "notes", "sha256"}
    assert len(accepted) == len(ODD) if field in unread else len(accepted) <= 6
    assert replayed(saved, changed(saved, where, field)) == (field in {*unread, "activation"})


@pytest.mark.parametrize(
    "content", ["", "null", "3", "[]", "{", "{}", '{"format": 1}', '{"format": 1, "replayable": true}', "[" * 100_000, "é"]
)
def test_what_is_no_manifest(saved: Path, content: str) -> None:
    assert not replayed(saved, content)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no picture"])
def test_an_input_that_is_damaged(saved: Path, content: bytes) -> None:
    path = saved / json.loads((saved / "explanation.json").read_text(encoding="utf-8"))["input"]
    before = path.read_bytes()
    try:
        path.write_bytes(content)
        with pytest.raises(vizlib.VizlibError):
            vizlib.replay(saved)
    finally:
        path.write_bytes(before)


def test_an_input_without_the_tensor(tmp_path: Path) -> None:
    model: Any = vizlib.load("vit_tiny50", checkpoint="random")
    folder = vizlib.explain(model, torch.zeros(3, 64, 64)).save(tmp_path)
    for arrays in ({"y": np.zeros(3)}, {"x": np.zeros(3)}, {"x": np.array(["a"])}, {"x": np.array([{}])}):
        np.savez(folder / "input.npz", **arrays)
        with pytest.raises(vizlib.ImageError):
            vizlib.replay(folder)
    explanation = vizlib.explain(model, torch.zeros(3, 64, 64))
    np.savez(folder / "input.npz", x=np.zeros((3, 64, 64), np.float32))
    assert np.array_equal(vizlib.replay(folder).input_map, explanation.input_map)


def test_an_input_outside_the_folder_is_not_read(saved: Path) -> None:
    outside = saved.parent / "outside.png"
    outside.write_bytes((saved / "image.png").read_bytes())
    assert not replayed(saved, changed(saved, "manifest", "input", "../outside.png"))
    assert not replayed(saved, changed(saved, "manifest", "input", str(outside)))
    assert replayed(saved, changed(saved, "manifest", "input", "image.png"))
