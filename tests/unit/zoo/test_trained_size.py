"""The size that weights were trained at is read from their shapes, and weights of another library are refused by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf

import vizlib
from vizlib.zoo.conversions.state_layouts import other_layout

if TYPE_CHECKING:
    from pathlib import Path


def saved(module: torch.nn.Module, folder: Path) -> Path:
    save_file({name: value.contiguous().clone() for name, value in module.state_dict().items()}, folder / "mine.safetensors")
    return folder / "mine.safetensors"


@pytest.mark.parametrize(
    ("name", "side"),
    [("hiera_tiny_224", 128), ("levit_128s", 128), ("pit_ti_224", 112), ("crossvit_tiny_240", 120), ("convit_tiny", 96)],
)
def test_the_size_of_tables_of_places_is_the_models(name: str, side: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = timm.create_model(name, img_size=side, num_classes=5).eval()
    model = vizlib.load(name, checkpoint=saved(module, tmp_path))
    assert model.transform.size == model.card.input_size == (side, side)
    x = torch.randn(1, 3, side, side)
    assert torch.equal(model(x), module(x))
    for method in ("rollout", "grad_cam"):  # what the card offers runs at this size
        assert method in model.card.methods
        vizlib.explain(model, x[0], method, target=1)


def test_what_was_asked_for_stays_and_sides_that_differ_are_to_be_said(tmp_path: Path) -> None:
    path = saved(timm.create_model("vit_tiny_patch16_224", img_size=(96, 160), num_classes=5), tmp_path)
    with pytest.raises(vizlib.CheckpointError, match=r"or say the image size, where it was another; .*\n  pos_embed is \(1, 61, 192\)"):
        vizlib.load("vit_tiny_patch16_224", checkpoint=path)
    assert vizlib.load("vit_tiny_patch16_224", checkpoint=path, image_size=(96, 160)).transform.size == (96, 160)
    with pytest.raises(vizlib.CheckpointError, match="or say the image size"):
        vizlib.load("levit_128s", checkpoint=saved(timm.create_model("levit_128s", img_size=128), tmp_path), image_size=160)


@pytest.mark.parametrize("said", [True, False])
def test_a_folder_of_timm_may_say_its_size_or_not(said: bool, tmp_path: Path) -> None:
    module = timm.create_model("hiera_tiny_224", img_size=96, num_classes=5).eval()
    arguments: dict[str, Any] = {"model_args": {"img_size": 96}} if said else {}
    save_for_hf(module, tmp_path, model_config={"num_classes": 5}, safe_serialization=True, **arguments)
    model = vizlib.load(str(tmp_path))
    assert model.transform.size == (96, 96)
    x = torch.randn(1, 3, 96, 96)
    assert torch.equal(model(x), module(x))


def test_a_folder_of_transformers_has_the_size_of_its_config_or_the_one_that_is_said(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    from vizlib.catalog.transformers_variants import FACTS
    from vizlib.model_report.family_table import transformers_model

    for name in ("ViTMSNForImageClassification", "HieraForImageClassification"):
        transformers_model(name, FACTS[name]).save_pretrained(tmp_path / name)
        model = vizlib.load(str(tmp_path / name))
        assert (model.transform.size, model.card.family) == ((64, 64), "traced")
        assert vizlib.explain(model, torch.zeros(3, 64, 64), "rollout").input_map.sum() > 0.5
    name = "SegformerForImageClassification"
    transformers_model(name, FACTS[name]).save_pretrained(tmp_path / name)
    with pytest.raises(vizlib.ModelError, match=r"no image_size in its config: say the size of its input, image_size="):
        vizlib.load(str(tmp_path / name))
    assert vizlib.load(str(tmp_path / name), image_size=64).transform.size == (64, 64)


def test_weights_of_another_library_are_refused_by_its_name(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.SwinConfig(num_labels=5, embed_dim=12, depths=[1, 1], num_heads=[1, 2])
    path = saved(transformers.SwinForImageClassification(config), tmp_path)
    with pytest.raises(vizlib.CheckpointError, match=r"as transformers names them, which swin_tiny.* does not: give the folder") as refused:
        vizlib.load("swin_tiny_patch4_window7_224", checkpoint=path)
    assert "\n" not in str(refused.value)
    from torchvision.models import VisionTransformer

    path = saved(VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=5), tmp_path)
    with pytest.raises(vizlib.CheckpointError, match=r"as torchvision names them, .*--model module:function"):
        vizlib.load("vit_tiny_patch16_224", checkpoint=path)


def test_timms_own_names_are_nobody_elses() -> None:
    for name in ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "maxvit_pico_rw_256", "hiera_tiny_224", "cait_xxs24_224"):
        with torch.device("meta"):
            assert other_layout(timm.create_model(name).state_dict()) is None


def test_the_mask_that_dinov2_was_trained_with_is_left_out(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    module = transformers.Dinov2Model(transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518)).eval()
    model = vizlib.load("vit_small_patch14_dinov2", checkpoint=saved(module, tmp_path), image_size=518, num_classes=0)
    x = torch.randn(1, 3, 518, 518, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(model(x), module(x).pooler_output, atol=1e-4)
