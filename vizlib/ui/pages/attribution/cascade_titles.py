"""What the steps of a cascade are called, whatever the modules of a network are: no visitor knows what "features.18" is."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from vizlib.figures.layer_names import layer_title

if TYPE_CHECKING:
    from torch import nn

    from vizlib import Model

_PARTS = {
    "head": "the classifier", "norm": "the last norm", "classifier.norm": "the last norm", "head.norm": "the last norm",
    "fc_norm": "the last norm", "norm_head": "the last norm", "patch_embed": "the patch embedding", "embedding": "the embeddings",
    "tokens_to_token.project": "the projection after the last round",
}  # fmt: skip
_DOWNSAMPLING = re.compile(r"(?:layers|stages)\.(\d+)\.downsample(?:\..+)?")


def step_title(name: str) -> str | None:
    """The lowest layer that has new weights, as a reader counts layers; None where its module's name does not tell."""
    if match := _DOWNSAMPLING.fullmatch(name):
        return f"the downsampling of stage {int(match[1]) + 1}"
    title = _PARTS.get(name) or layer_title(name)
    return None if title == name or title.startswith("module ") or re.search(r"[._]", title) else title


def step_titles(model: Model, falling: list[str]) -> dict[str, str]:
    """Titles of all steps by their names: the others are counted from the picture on, by kind where they are one module."""
    from vizlib.evaluation.weight_randomization import blocks_below, head_of

    parts = dict(model.module.named_modules())
    groups = blocks_below(falling, head_of(model, falling) if model.adapter.classes else [])[::-1]
    titles, counts = {"head": _PARTS["head"]}, Counter[str]()
    for number, (name, paths) in enumerate(groups, 1):
        title, kind = step_title(name), _kind(parts[paths[0]]) if len(paths) == 1 else ""
        if title is None and kind:
            counts[kind] += 1
            title = f"{kind} {counts[kind]}"
        titles[name] = title or f"part {number} of {len(groups)}"
    return titles


def _kind(part: nn.Module) -> str:
    from torch import nn

    if isinstance(part, nn.Conv2d):
        return "convolution"
    if isinstance(part, nn.Linear):
        return "fully connected layer"
    return "norm" if all(weight.ndim == 1 for weight in part.parameters()) else ""
