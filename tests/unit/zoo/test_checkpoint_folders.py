"""Folders that transformers and timm have saved, and repositories of the hub that look like them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import vizlib
from vizlib.errors import CheckpointError, ModelError
from vizlib.zoo.folders import checkpoint_folders
from vizlib.zoo.folders.picture_processors import transform_of
from vizlib.zoo.weights import fill_random

if TYPE_CHECKING:
    from pathlib import Path

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

TINY: dict[str, Any] = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32, "image_size": 32, "patch_size": 8,
}  # fmt: skip
PREPARED = {
    "do_resize": True, "size": {"shortest_edge": 40}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}, "resample": 2,
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "image_processor_type": "ViTImageProcessor",
}  # fmt: skip


def saved(folder: Path, **facts: Any) -> torch.nn.Module:
    module = transformers.ViTForImageClassification(transformers.ViTConfig(**TINY, **facts))
    fill_random(module)
    module.eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPARED))
    return module


def test_a_folder_of_transformers_answers_as_its_module(tmp_path: Path) -> None:
    module = saved(tmp_path, id2label={0: "cat", 1: "dog"}, label2id={"cat": 0, "dog": 1})
    model = vizlib.load(str(tmp_path), device="cpu")
    assert (model.card.family, model.card.source, model.labels) == ("vit", "folder", ("cat", "dog"))
    transform = model.transform
    assert (transform.size, transform.crop_pct, transform.interpolation, transform.mean) == ((32, 32), 0.8, "bilinear", (0.5, 0.5, 0.5))
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model(x), module(x).logits)
    picture = np.random.default_rng(0).integers(0, 255, (50, 60, 3), dtype=np.uint8)
    explanation = vizlib.explain(model, picture, "relevance", target="dog")
    explanation.save(tmp_path / "map")
    assert np.array_equal(vizlib.replay(tmp_path / "map").input_map, explanation.input_map)
    random = vizlib.load(str(tmp_path), checkpoint="random", device="cpu")
    assert random.labels == ("cat", "dog")


def test_a_folder_in_shards_is_the_same(tmp_path: Path) -> None:
    module = saved(tmp_path / "whole", num_labels=3)
    module.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole, parts = (vizlib.load(str(tmp_path / name), device="cpu") for name in ("whole", "parts"))
    assert torch.equal(whole(x), parts(x))
    assert parts.transform.mean == vizlib.Transform((32, 32)).mean  # it has no preprocessor_config.json


@pytest.mark.parametrize("shards", [False, True])
def test_a_replay_notices_that_the_weights_of_a_folder_changed(tmp_path: Path, *, shards: bool) -> None:
    module = saved(tmp_path / "model", num_labels=3)
    if shards:
        (tmp_path / "model" / "model.safetensors").unlink()
        module.save_pretrained(tmp_path / "model", max_shard_size="20KB")
    explanation = vizlib.explain(vizlib.load(str(tmp_path / "model"), device="cpu"), torch.rand(3, 32, 32), "relevance", target=1)
    explanation.save(tmp_path / "map")
    assert np.array_equal(vizlib.replay(tmp_path / "map").input_map, explanation.input_map)
    with torch.no_grad():
        module.classifier.bias[0] += 1  # of another class than the map's: the map itself would be the same
    module.save_pretrained(tmp_path / "model", max_shard_size="20KB" if shards else "5GB")
    with pytest.raises(CheckpointError, match=r"weights of .* have changed since"):
        vizlib.replay(tmp_path / "map")
    other = vizlib.load(str(tmp_path / "model"), device="cpu")
    assert np.array_equal(vizlib.replay(tmp_path / "map", model=other).input_map, explanation.input_map)
    manifest = tmp_path / "map" / "explanation.json"
    facts = json.loads(manifest.read_text())
    facts["recipe"]["sha256"] = None  # as earlier versions wrote it
    manifest.write_text(json.dumps(facts))
    assert vizlib.replay(tmp_path / "map").input_map.any()


def test_a_folder_of_timm_answers_as_its_module(tmp_path: Path) -> None:
    module = timm.create_model("resnet10t", num_classes=2)
    fill_random(module)
    module.eval()
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    prepared = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.9, "interpolation": "bilinear"}
    config = {"architecture": "resnet10t", "num_classes": 2, "label_names": ["cat", "dog"], "pretrained_cfg": prepared}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = vizlib.load(str(tmp_path), device="cpu")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model(x), module(x))
    assert (model.labels, model.transform.size, model.transform.crop_pct) == (("cat", "dog"), (64, 64), 0.9)


def test_the_hub_gives_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, num_labels=3)
    asked: list[tuple[str, str, str | None]] = []

    def given(repo: str, filename: str, revision: str | None = None, **_: Any) -> Path:
        asked.append((repo, filename, revision))
        return tmp_path / filename

    monkeypatch.setattr(checkpoint_folders, "hub_weights", given)
    model = vizlib.load("hf:owner/name@v1", device="cpu")
    assert model.num_classes == 3
    assert asked == [("owner/name", file, "v1") for file in ("config.json", "model.safetensors", "preprocessor_config.json")]


def test_code_beside_the_weights_is_never_run(tmp_path: Path) -> None:
    saved(tmp_path, num_labels=3)
    config = json.loads((tmp_path / "config.json").read_text())
    ran = tmp_path / "ran"
    (tmp_path / "modeling_own.py").write_text(f"open({str(ran)!r}, 'w')\nclass OwnForImageClassification: pass\n")
    own = {"AutoModelForImageClassification": "modeling_own.OwnForImageClassification"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["OwnForImageClassification"], "auto_map": own}))
    with pytest.raises(ModelError, match="never run"):
        vizlib.load(str(tmp_path), device="cpu")
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": own}))
    assert vizlib.load(str(tmp_path), device="cpu").num_classes == 3
    assert not ran.exists()


def test_what_does_not_fit_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"without a config\.json"):
        vizlib.load(str(tmp_path))
    module = saved(tmp_path, num_labels=3)
    save_file({key: value for key, value in module.state_dict().items() if "layernorm" not in key}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="missing"):
        vizlib.load(str(tmp_path), device="cpu")
    (tmp_path / "model.safetensors").unlink()
    torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="only safetensors"):
        vizlib.load(str(tmp_path), device="cpu")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="JSON"):
        vizlib.load(str(tmp_path), device="cpu")
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["CLIPModel"], "model_type": "clip"}))
    with pytest.raises(ModelError, match="vision tower"):
        vizlib.load(str(tmp_path), device="cpu")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"size": {"height": 224, "width": 196}, "resample": 3}, ((224, 196), 1.0, "squash", "bicubic")),
        ({"size": 224, "resample": 2}, ((224, 224), 1.0, "squash", "bilinear")),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}},
         ((224, 224), 0.875, "crop", "bicubic")),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, ((224, 224), 0.875, "crop", "bicubic")),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, ((384, 384), 1.0, "squash", "bicubic")),
        ({}, ((30, 40), 1.0, "squash", "bicubic")),
    ],
)  # fmt: skip
def test_preprocessors_become_transforms(config: dict[str, Any], expected: tuple[Any, ...]) -> None:
    transform = transform_of(config, (30, 40))
    assert (transform.size, transform.crop_pct, transform.fit, transform.interpolation) == expected
