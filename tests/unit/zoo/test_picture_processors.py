"""A folder's preprocessor_config.json prepares pictures as the folder's own processor does, or is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from skimage import data

from vizlib.errors import ModelError
from vizlib.zoo.folders.picture_processors import PROCESSOR, processor_transform

if TYPE_CHECKING:
    from pathlib import Path

    from vizlib.geometry import Transform

PICTURES = (data.cat(), np.ascontiguousarray(data.astronaut()[:, 90:330]))  # wide and tall
READ = [
    ("ViT", {}), ("ViT", {"size": 384}), ("BeitImageProcessor", {"size": 256, "crop_size": 224, "do_center_crop": True}),
    ("DeiT", {}), ("DeiT", {"size": {"height": 438, "width": 438}, "crop_size": 384}), ("CLIP", {"size": 246, "crop_size": 224}),
    ("ConvNext", {"size": {"shortest_edge": 224}}), ("Levit", {}), ("PoolFormer", {}), ("Bit", {"size": {"shortest_edge": 256}}),
    ("MobileNetV2", {}), ("EfficientNet", {}), ("EfficientNet", {"rescale_factor": 1 / 127.5, "rescale_offset": True}),
    ("EfficientNet", {"include_top": False, "do_rescale": True}), ("ViT", {"do_normalize": False}),
    ("ViT", {"image_mean": 0.4, "image_std": 0.3}), ("ViT", {"rescale_factor": 1 / 127.5}),
    ("ViT", {"do_rescale": False, "image_mean": [120.0] * 3, "image_std": [60.0] * 3}),
]  # fmt: skip


def saved(folder: Path, kind: str, **settings: Any) -> tuple[Any, dict[str, Any]]:
    processor = getattr(transformers, kind if kind.endswith("Processor") else f"{kind}ImageProcessor")(**settings)
    processor.save_pretrained(folder)
    return processor, json.loads((folder / PROCESSOR).read_text(encoding="utf-8"))


def apart(processor: Any, transform: Transform, picture: np.ndarray) -> float:
    """The mean difference of both inputs, in shares of the range of colours."""
    theirs = processor(images=picture, return_tensors="pt")["pixel_values"].float()
    return float(((theirs - transform.prepare(picture)) * torch.tensor(transform.std)[:, None, None]).abs().mean())


@pytest.mark.parametrize(("kind", "settings"), READ)
def test_pictures_are_prepared_as_the_processor_does(tmp_path: Path, kind: str, settings: dict[str, Any]) -> None:
    processor, config = saved(tmp_path, kind, **settings)
    transform = processor_transform(tmp_path, config, None)
    for picture in PICTURES:
        assert apart(processor, transform, picture) < 0.004


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("MobileViT", {}, "blue, green and red"),
        ("TextNet", {}, "makes an input of shape"),  # of each picture's own proportions
        ("Perceiver", {}, "makes an input of shape"),
        ("DeiT", {"size": {"height": 256, "width": 300}}, "other shares are kept"),
        ("Donut", {}, "another input of a picture"),  # padded, where nothing in the file says so
    ],
)
def test_what_is_prepared_in_another_way_is_refused(tmp_path: Path, kind: str, settings: dict[str, Any], reason: str) -> None:
    _, config = saved(tmp_path, kind, **settings)
    with pytest.raises(ModelError, match=f"{reason}.*vizlib.wrap"):
        processor_transform(tmp_path, config, None)


@pytest.mark.parametrize(
    "config",
    [
        {"size": 224, "do_center_crop": True, "crop_size": 0}, {"size": {"shortest_edge": 0}, "do_center_crop": True, "crop_size": 224},
        {"size": 224, "image_mean": ["a", "b", "c"]}, {"size": 224, "rescale_factor": "much"}, {"size": 224, "rescale_factor": 0},
        {"size": {"shortest_edge": 224}, "crop_pct": "all"}, {"size": 224, "image_std": 0}, {"size": {}}, {"size": [224, 224]},
    ],
)  # fmt: skip
def test_what_no_processor_says_is_one_sentence(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / PROCESSOR).write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError):
        processor_transform(tmp_path, config, None)


def test_a_size_that_no_memory_has_room_for_is_not_tried(tmp_path: Path) -> None:
    config = {"image_processor_type": "ViTImageProcessor", "size": {"height": 300_000, "width": 300_000}}
    (tmp_path / PROCESSOR).write_text(json.dumps(config), encoding="utf-8")
    assert processor_transform(tmp_path, config, None).size == (300_000, 300_000)


def test_a_processor_of_another_release_is_read_by_its_file_alone(tmp_path: Path) -> None:
    _, config = saved(tmp_path, "DeiT")
    (tmp_path / PROCESSOR).write_text(json.dumps(config | {"image_processor_type": "TomorrowsImageProcessor"}), encoding="utf-8")
    transform = processor_transform(tmp_path, config, None)
    assert (transform.fit, transform.crop_pct, transform.size) == ("squash", 0.875, (224, 224))


@pytest.mark.parametrize(
    "config",
    [
        {"image_processor_type": "DeiTImageProcessor", "size": 256, "crop_size": 224, "do_center_crop": True},
        {"feature_extractor_type": "BeitFeatureExtractor", "size": 256, "crop_size": 224, "do_center_crop": True},
        {"feature_extractor_type": "CLIPFeatureExtractor", "size": 240, "crop_size": 224, "do_center_crop": True},
        {"feature_extractor_type": "ViTFeatureExtractor", "size": 224, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
        {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.875},
        {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 384, "crop_pct": 1.0},
        {"image_processor_type": "LevitImageProcessor", "size": 224, "crop_size": 224, "do_center_crop": True},
    ],
)
def test_files_of_older_releases_are_read_as_the_processor_of_today_reads_them(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / PROCESSOR).write_text(json.dumps(config), encoding="utf-8")
    transform = processor_transform(tmp_path, config, None)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    for picture in PICTURES:
        assert apart(processor, transform, picture) < 0.004
