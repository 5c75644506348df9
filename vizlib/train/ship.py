"""From a finished run to what is shipped: float16 weights and the card beside them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import TrainingError
from vizlib.train.loop import accuracy
from vizlib.train.recipes import recipe

if TYPE_CHECKING:
    from torch import nn

    from vizlib.train.data import ImageSet

TERMS = (
    "Weights Apache-2.0; trained on photographs of ImageNet (by way of Tiny ImageNet), which are for non-commercial research and education. "
    "No photograph is shipped."
)
TITLES = {"vit_tiny50": "ViT, 8-px patches, class token", "resnet_tiny50": "ResNet, 14 layers"}
FAMILIES = {"vit_tiny50": "vit", "resnet_tiny50": "resnet"}


def ship(name: str, module: nn.Module, val: ImageSet, history: list[dict[str, Any]], folder: str | Path, command: str) -> dict[str, Any]:
    """Write NAME.safetensors in float16 and NAME.json into ``folder``: the card's facts.

    The accuracy is measured from the float16 weights as they are shipped. TrainingError when the run has not finished its recipe.
    """
    from safetensors.torch import save_file

    plan = recipe(name)
    if len(history) != plan.epochs:
        raise TrainingError(f"The run of {name} has {len(history)} of {plan.epochs} epochs; finish it before it is shipped.")
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    module = module.eval().to("cpu")
    half = {key: _halved(value) for key, value in module.state_dict().items()}
    path = home / f"{name}.safetensors"
    save_file(half, home / f"{path.name}.part")
    module.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in half.items()})
    top1, top5 = accuracy(module, val)
    data = f"{len(val.classes)} classes of Tiny ImageNet, 64 x 64"
    weights = home / f"{path.name}.part"
    facts = {
        "name": name,
        "title": TITLES[name],
        "family": FAMILIES[name],
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "input_size": [64, 64],
        "labels": list(val.classes),
        "accuracy": {"top1": top1, "top5": top5, "data": f"val, {DATA}", "images": len(val)},
        "training": {"data": DATA, "images": 500 * len(val.classes), "command": command, "recipe": asdict(plan), "history": history},
        "terms": TERMS,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (home / f"{name}.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return facts


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().contiguous()
    return tensor.to(torch.float16) if tensor.is_floating_point() else tensor
