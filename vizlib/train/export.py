"""From a finished run to what is shipped: float16 weights and the card beside them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import TrainingError
from vizlib.files import replace_file
from vizlib.train.loop import accuracy
from vizlib.train.recipes import CardRecipe, recipe

if TYPE_CHECKING:
    from torch import nn

    from vizlib.datasets.tiny_imagenet import ImageSet
    from vizlib.train.recipes import Recipe

TERMS = (
    "Weights Apache-2.0; trained on photographs of ImageNet (by way of Tiny ImageNet), "
    "which are for non-commercial research and education. No photograph is shipped."
)
TITLES = {
    "vit_tiny50": "ViT, 8-px patches, class token",
    "compact_vit_tiny50": "Compact ViT, 8-px patches, sequence pooling",
    "cct_tiny50": "CCT, three convolutions, sequence pooling",
    "t2t_tiny50": "T2T-ViT, three soft splits, performer",
    "t2t_t_tiny50": "T2T-ViT, three soft splits, exact token attention",
    "pvt_tiny50": "PVT, four stages",
    "cvt_tiny50": "CvT, three stages",
    "resnet_tiny50": "ResNet, 14 layers",
}
FAMILIES = {
    "vit_tiny50": "vit",
    "compact_vit_tiny50": "compact",
    "cct_tiny50": "compact",
    "t2t_tiny50": "t2t",
    "t2t_t_tiny50": "t2t",
    "pvt_tiny50": "pvt",
    "cvt_tiny50": "cvt",
    "resnet_tiny50": "resnet",
}


def export(
    name: str,
    module: nn.Module,
    val: ImageSet,
    history: list[dict[str, Any]],
    folder: str | Path,
    command: str,
    *,
    images: int | None = None,
    plan: Recipe | None = None,
    machine: str | None = None,
) -> dict[str, Any]:
    """Write NAME.safetensors in float16 and NAME.json into ``folder``: the card's facts.

    The accuracy is measured from the float16 weights as they are shipped; ``images`` is how many were trained on, 500 a class unless
    given, ``plan`` the recipe, the CPU's unless given, and ``machine`` what trained it. TrainingError when the run has not finished its
    recipe, or the folder cannot be written; what was there before stays until the new files are whole.
    """
    from safetensors.torch import save

    plan = recipe(name) if plan is None else plan
    if len(history) != plan.epochs:
        raise TrainingError(f"The run of {name} has {len(history)} of {plan.epochs} epochs; finish it before it is shipped.")
    home = Path(folder)
    module = module.eval().to("cpu")
    half = {key: _halved(value) for key, value in module.state_dict().items()}
    weights = save(half)
    module.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in half.items()})
    side = plan.side if isinstance(plan, CardRecipe) else 64
    top1, top5 = accuracy(module, val, side=side)
    data = f"{len(val.classes)} classes of Tiny ImageNet, 64 x 64"
    trained_on = 500 * len(val.classes) if images is None else images
    facts = {
        "name": name,
        "title": TITLES[name],
        "family": FAMILIES[name],
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "input_size": [side, side],
        "labels": list(val.classes),
        "accuracy": {"top1": top1, "top5": top5, "data": f"val, {data}", "images": len(val)},
        "training": {"data": data, "images": trained_on, "command": command, "recipe": asdict(plan), "history": history}
        | ({} if machine is None else {"machine": machine}),
        "terms": TERMS,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    try:
        replace_file(home / f"{name}.safetensors", weights)
        replace_file(home / f"{name}.json", (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise TrainingError(f"{name} cannot be written to {home}: {error.strerror or error}.") from error
    return facts


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().contiguous()
    return tensor.to(torch.float16) if tensor.is_floating_point() else tensor
