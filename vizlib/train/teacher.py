"""A teacher for the bundled models: EfficientNet-Lite0's answers for fixed views of every training photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vizlib.errors import CheckpointError, TrainingError
from vizlib.train.card_augment import random_views, seen_through

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from vizlib.datasets.tiny_imagenet import ImageSet

ARCHITECTURE = "tf_efficientnet_lite0"
SIDE = 160
SMALLEST = 0.35
SEED = 7
VIEWS_ALONE = 64
"""Views of each photograph where no teacher has to answer for them."""


@dataclass(frozen=True)
class Views:
    """Affine views (N, V, 2, 3) of N photographs, with the teacher's logits (N, V, K) for each, float16, or None without a teacher."""

    views: Tensor
    logits: Tensor | None


def load_teacher(weights: str | Path, classes: tuple[str, ...]) -> tuple[nn.Module, Tensor]:
    """The teacher from a file of its weights, and the numbers (K,) of these classes among its thousand."""
    from timm.data.imagenet_info import ImageNetInfo

    from vizlib.datasets.classes import FIFTY
    from vizlib.zoo.load import load

    wnids = {name: wnid for wnid, name in FIFTY}
    if set(classes) - set(wnids):
        raise TrainingError(
            "The teacher answers for the fifty classes of the bundled models only; train without it (`--recipe card-alone`)."
        )
    try:
        module = load(ARCHITECTURE, checkpoint=weights, num_classes=1000, device="cpu").module
    except CheckpointError as error:
        raise TrainingError(f"The teacher's weights cannot be used: {error}") from error
    wordnet_ids = ImageNetInfo().label_names()
    return module.eval(), torch.tensor([wordnet_ids.index(wnids[name]) for name in classes])


@torch.inference_mode()
def teacher_answers(teacher: nn.Module, numbers: Tensor, images: Tensor, views: Tensor) -> Tensor:
    """The teacher's logits (B, K) for photographs (B, 3, H, W) of 0 to 255 through views (B, 2, 3), at 160 px."""
    x = seen_through(images, views, SIDE).clamp(0, 255) / 127.5 - 1
    with torch.autocast(x.device.type, torch.bfloat16, enabled=x.device.type == "cuda"):
        return teacher(x.contiguous(memory_format=torch.channels_last))[:, numbers].float()


def views_of(
    data: ImageSet,
    count: int,
    weights: str | Path | None,
    device: torch.device,
    *,
    keep: Path | None = None,
    batch: int = 512,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Views:
    """``count`` views of every photograph with the teacher's answers for each, on ``device``; read from ``keep`` where it holds them.

    The views come from a fixed seed, so that every model sees the same. TrainingError when the weights cannot be used.
    """
    views = random_views(len(data) * count, SMALLEST, torch.Generator().manual_seed(SEED)).view(len(data), count, 2, 3)
    if weights is None:
        return Views(views.to(device), None)
    if keep is not None and keep.exists():
        state = torch.load(keep, weights_only=True)
        if state["logits"].shape == (len(data), count, len(data.classes)) and torch.equal(state["labels"], torch.from_numpy(data.labels)):
            return Views(views.to(device), state["logits"].to(device))
        raise TrainingError(f"{keep} holds a teacher's answers for other photographs or another number of views; name another file.")
    teacher, numbers = load_teacher(weights, data.classes)
    teacher, numbers = teacher.to(device).to(memory_format=torch.channels_last), numbers.to(device)
    images = torch.from_numpy(data.images)
    logits = torch.empty(len(data), count, len(data.classes), dtype=torch.float16, device=device)
    for start in range(0, len(data), batch):
        part = images[start : start + batch].to(device)
        for v in range(count):
            logits[start : start + batch, v] = teacher_answers(teacher, numbers, part, views[start : start + batch, v].to(device)).half()
        report(min(start + batch, len(data)), len(data))
    if keep is not None:
        keep.parent.mkdir(parents=True, exist_ok=True)
        part_file = keep.with_name(f"{keep.name}.part")
        torch.save({"logits": logits.cpu(), "labels": torch.from_numpy(data.labels)}, part_file)
        part_file.replace(keep)
    return Views(views.to(device), logits)
