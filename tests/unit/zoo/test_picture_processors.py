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
from vizlib.zoo.picture_processors import PROCESSOR, processor_transform

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
    ("ViT", {"rescale_factor": 1 / 127.5}), ("ViT", {"do_rescale": False, "image_mean": [120.0] * 3, "image_std": [60.0] * 3}),
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


def test_a_processor_of_another_release_is_read_by_its_file_alone(tmp_path: Path) -> None:
    _, config = saved(tmp_path, "DeiT")
    (tmp_path / PROCESSOR).write_text(json.dumps(config | {"image_processor_type": "TomorrowsImageProcessor"}), encoding="utf-8")
    transform = processor_transform(tmp_path, config, None)
    assert (transform.fit, transform.crop_pct, transform.size) == ("squash", 0.875, (224, 224))
