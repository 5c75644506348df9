"""How pictures are prepared for a model of transformers: its preprocessor_config.json as a Transform, and whether that does the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.errors import ModelError
from vizlib.geometry import Transform

if TYPE_CHECKING:
    from pathlib import Path

PROCESSOR = "preprocessor_config.json"
_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}  # PIL's numbers
_CLOSE = 0.006  # of the range of colours, on average: other resampling gives less, another crop or normalisation more
_UNABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError)
_MOST = 1 << 24  # pixels of an input up to which one is made to be compared
_INSTEAD = "Load it with transformers and give vizlib.wrap the model, and inputs (3, h, w) that its processor has prepared."


def processor_transform(folder: Path, config: dict[str, Any], size: tuple[int, int] | None) -> Transform:
    """The evaluation transform of a folder with this preprocessor_config.json, held to what its own processor does to a picture.

    What the file leaves out is as the processor has it; without one, as of another release, the file stands alone. ModelError where the
    two differ, where no Transform can do what the file says, and for what is no such file.
    """
    processor = _processor(folder)
    settings = config if processor is None else processor.to_dict() | {"image_processor_type": type(processor).__name__}
    try:
        transform = transform_of(settings, size)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ModelError(f"{folder / PROCESSOR} does not say how pictures are prepared: {error}.") from error
    made = _input_by(processor) if processor is not None and math.prod(transform.size) <= _MOST else None
    if made is not None:
        own = transform.prepare(_picture())
        if made.shape != own.shape:
            raise ModelError(
                f"The processor of {folder} makes an input of shape {tuple(made.shape)} of a picture, where its {PROCESSOR} reads as "
                f"{tuple(own.shape)}. {_INSTEAD}"
            )
        apart = float(((made - own) * torch.tensor(transform.std)[:, None, None]).abs().mean())
        if not apart <= _CLOSE:
            raise ModelError(
                f"The processor of {folder} makes another input of a picture than what can be read of its {PROCESSOR} "
                f"({apart:.0%} of the range of colours apart). {_INSTEAD}"
            )
    return transform


def transform_of(config: dict[str, Any], size: tuple[int, int] | None) -> Transform:
    """The evaluation transform that a preprocessor_config.json describes, at ``size`` (h, w) where it names none.

    A short side and a crop, a height and a width that pictures are squashed to, and a crop out of these. ModelError where no Transform
    does the same.
    """
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    if config.get("do_flip_channel_order"):
        raise ModelError(f"By its {PROCESSOR} this model takes blue, green and red in this order, which is not prepared here. {_INSTEAD}")
    cropped = _sides(config.get("crop_size")) if config.get("do_center_crop") else None
    short, box = _resized(config, kind, cropped)
    target = cropped or box or (size if short is None else (short, short))
    if target is None:
        raise ModelError(f"{PROCESSOR} names no size of the input: say it, image_size=.")
    fit, crop_pct, share = "squash", 1.0, config.get("crop_pct")
    if cropped is not None and box is not None:
        crop_pct = _share(cropped[0], box[0])
        if math.floor(cropped[1] / crop_pct) != box[1]:
            raise ModelError(
                f"By its {PROCESSOR} this model takes the middle {cropped[0]} x {cropped[1]} of pictures squashed to {box[0]} x {box[1]}, "
                f"two sides of which other shares are kept, which is not prepared here. {_INSTEAD}"
            )
    elif cropped is not None:
        fit, crop_pct = "crop", 1.0 if short is None else _share(min(cropped), short)
    elif share is not None and min(target) < 384:  # from there on ConvNeXt's pictures are squashed
        fit, crop_pct = "crop", float(share)
    mean, std = _colours(config, kind)
    return Transform(target, crop_pct, _FILTERS.get(config.get("resample", 3), "bicubic"), mean, std, fit)


def _resized(config: dict[str, Any], kind: str, cropped: tuple[int, int] | None) -> tuple[int | None, tuple[int, int] | None]:
    """What pictures are resized to before a crop: the short side, or height and width."""
    size = config.get("size")
    if isinstance(size, int) and (cropped is None or kind.startswith(("Beit", "Data2Vec", "DeiT", "ViT"))):
        return None, (size, size)
    short = size.get("shortest_edge") if isinstance(size, dict) else size
    if not isinstance(short, int):
        return None, _sides(size)
    if cropped is not None and config.get("crop_pct"):  # PoolFormer's
        short = int(short / config["crop_pct"])
    return int(256 / 224 * short) if kind.startswith("Levit") else short, None


def _sides(box: Any) -> tuple[int, int] | None:
    if isinstance(box, int):
        return box, box
    if isinstance(box, dict) and isinstance(box.get("height"), int) and isinstance(box.get("width"), int):
        return box["height"], box["width"]
    return None


def _share(kept: int, resized: int) -> float:
    """The share of a side that a crop keeps, such that the side is found again by dividing by it."""
    share = kept / resized
    while math.floor(kept / share) < resized:
        share = math.nextafter(share, 0)
    return share


def _colours(config: dict[str, Any], kind: str) -> tuple[Any, Any]:
    """Mean and deviation of colours from 0 to 1, whatever range the file's own are of.

    With a factor f, and an offset of -1 where there is one, (255 f x + offset - m) / s is (x - (m - offset) / 255 f) / (s / 255 f).
    """
    known = config.get("do_normalize") is not False
    deviation = _three(config.get("image_std"), Transform.std)
    m = _three(config.get("image_mean"), Transform.mean) if known else (0.0, 0.0, 0.0)
    s = deviation if known else (1.0, 1.0, 1.0)
    if kind.startswith("EfficientNet") and config.get("include_top", True):  # divides by the deviation once more
        s = tuple(one * other for one, other in zip(s, deviation, strict=True))
    factor = 255 * (config.get("rescale_factor", 1 / 255) if config.get("do_rescale") is not False else 1.0)
    offset = -1.0 if config.get("rescale_offset") else 0.0
    if abs(factor - 1) < 1e-6 and not offset:
        return m, s
    return tuple((each - offset) / factor for each in m), tuple(each / factor for each in s)


def _three(values: Any, usual: tuple[Any, ...]) -> tuple[Any, ...]:
    if values is None:
        return usual
    return (values,) * 3 if isinstance(values, int | float) else tuple(values)


def _picture() -> np.ndarray:
    """Colours that rise along and down, and a pattern: uint8 (300, 451, 3), on which another crop, squash or order of colours shows."""
    y, x = np.mgrid[0:300, 0:451]
    return np.stack([x / 450 * 255, y / 299 * 255, 127 + 100 * np.sin(x / 40) * np.cos(y / 30)], -1).astype(np.uint8)


def _processor(folder: Path) -> Any:
    """The folder's own processor; None where it cannot be made here. No code that lies in the folder is run."""
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except _UNABLE:
        return None


def _input_by(processor: Any) -> torch.Tensor | None:
    """What a processor makes of the picture, float32 (1, ...); None where it cannot."""
    try:
        made = processor(images=_picture(), return_tensors="pt")["pixel_values"]
    except _UNABLE:
        return None
    return made.float() if isinstance(made, torch.Tensor) else None
