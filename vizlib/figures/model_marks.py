"""The one name, colour and symbol of each model, in every chart, table and component."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.figures.charts import COLOURS, Mark, mark

if TYPE_CHECKING:
    from collections.abc import Sequence

# The bundled models by their place in the order of all, which is that of the colours.
SHORT_NAMES = {
    "vit_tiny50": "ViT",
    "compact_vit_tiny50": "Compact ViT",
    "cct_tiny50": "CCT",
    "t2t_tiny50": "T2T performer",
    "t2t_t_tiny50": "T2T transformer",
    "pvt_tiny50": "PVT",
    "cvt_tiny50": "CvT",
    "resnet_tiny50": "ResNet",
}
PACKAGED_NAMES = {"tf_efficientnet_lite0": "EfficientNet-Lite0", "vit_small_saliency": "ViT-S/14 saliency"}
FAMILY_NAMES = {
    "vit": "ViT",
    "compact": "Compact Transformer",
    "t2t": "T2T-ViT",
    "pvt": "PVT",
    "pvt_v2": "PVT v2",
    "cvt": "CvT",
    "resnet": "ResNet",
}
_NUMBERS = {name: number for number, name in enumerate(SHORT_NAMES)}


def short_name(name: str) -> str:
    """The name of a bundled or packaged model as it stands in charts, any other's own."""
    return SHORT_NAMES.get(name) or PACKAGED_NAMES.get(name, name)


def family_name(family: str, name: str) -> str:
    """A family's name where one model of it stands for all, else the model's own."""
    return FAMILY_NAMES.get(family, name)


def mark_of(name: str) -> Mark:
    """The mark of a bundled model, the same whichever models stand beside it; others share the one after them."""
    return mark(short_name(name), _NUMBERS.get(name, len(_NUMBERS)))


def marks_of(names: Sequence[str], titles: Sequence[str] | None = None) -> list[Mark]:
    """A mark for each of several models: a bundled one's own, for others the next that is free, with their ``titles`` as labels."""
    taken = {_NUMBERS[name] for name in names if name in _NUMBERS}
    free = (number for number in range(len(COLOURS) + len(names)) if number not in taken)
    labels = titles or [short_name(name) for name in names]
    return [mark(label, _NUMBERS[name] if name in _NUMBERS else next(free)) for name, label in zip(names, labels, strict=True)]
