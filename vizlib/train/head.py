"""A linear head on the frozen features of a model without classes: penalised logistic regression, features kept in chunks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
import torch.nn.functional as F

from vizlib.errors import ModelError, TrainingError
from vizlib.files import replace_file
from vizlib.stats import wilson
from vizlib.train.export import TERMS
from vizlib.zoo.weights import state_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from vizlib.datasets.tiny_imagenet import ImageSet
    from vizlib.zoo.model import Model

CHUNK: Final = 250  # photographs whose features are written at once
BATCH: Final = 10
PENALTIES: Final = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
HELD_OUT: Final = 0.2  # of the training photographs of each class: the penalty is chosen on them
SHIPPED_FROM: Final = 0.7  # top-1 on the validation photographs
_ITERATIONS: Final = 300
_NOTE: Final = "features.json"


@dataclass(frozen=True, eq=False)
class LinearHead:
    """``weight`` (C, D) and ``bias`` (C,), float32, the ``penalty`` and the shares right on held-out photographs by penalty."""

    weight: Tensor
    bias: Tensor
    penalty: float
    held_out: dict[float, float]

    def logits(self, features: Tensor) -> Tensor:
        """Logits (N, C) of features (N, D)."""
        return features @ self.weight.T + self.bias


def frozen_features(
    model: Model,
    data: ImageSet,
    folder: Path,
    *,
    precision: torch.dtype = torch.float32,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Tensor:
    """What a head reads of each photograph, float32 (N, D): the model's own transform, then all of it but its classifier.

    Chunks of 250 are kept in ``folder``, so that a run that was stopped goes on. ModelError for a model whose features cannot be had
    apart from its head, TrainingError where the folder holds those of other photographs or weights.
    """
    from safetensors.torch import load_file, save_file

    if not hasattr(model.module, "forward_head"):
        raise ModelError(f"{model.card.name} does not say where its head begins, so a head cannot be trained for it.")
    _check_folder(folder, _facts(model, data, precision))
    chunks = []
    for start in range(0, len(data), CHUNK):
        path = folder / f"{start:06d}.safetensors"
        if not path.is_file():
            part = path.with_name(f"{path.name}.part")
            save_file({"features": _features(model, data.images[start : start + CHUNK], precision)}, part)
            part.replace(path)
        chunks.append(load_file(path)["features"])
        report(min(start + CHUNK, len(data)), len(data))
    return torch.cat(chunks)


@torch.inference_mode()
def _features(model: Model, images: np.ndarray, precision: torch.dtype) -> Tensor:
    module: Any = model.module
    device = next(module.parameters()).device
    rows = []
    for start in range(0, len(images), BATCH):
        x = torch.cat([model.prepare(np.ascontiguousarray(image.transpose(1, 2, 0))) for image in images[start : start + BATCH]])
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            rows.append(module.forward_head(module.forward_features(x.to(device)), pre_logits=True).float().cpu())
    return torch.cat(rows).contiguous()


def _facts(model: Model, data: ImageSet, precision: torch.dtype) -> dict[str, Any]:
    return {
        "model": model.card.name,
        "weights": state_fingerprint(model.module),
        "input_size": list(model.transform.size) if model.transform is not None else None,
        "precision": str(precision).removeprefix("torch."),
        "images": hashlib.sha256(data.images.tobytes()).hexdigest(),
    }


def _check_folder(folder: Path, facts: dict[str, Any]) -> None:
    note = folder / _NOTE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not note.is_file():
            note.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            return
        before = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"The features cannot be kept in {folder}: {error}.") from error
    if before != facts:
        raise TrainingError(f"{folder} holds the features of other photographs, weights or another input size; name another folder.")


def fit_head(features: Tensor, labels: Tensor, classes: int, *, seed: int = 0) -> LinearHead:
    """The head (C, D) for features (N, D) and labels (N,): multinomial logistic regression with an L2 penalty on standardised features.

    The penalty is the one with which a head of four fifths of each class is right most often on the last fifth; the head of all
    photographs is then fitted with it. Features are standardised inside, and the head takes them as they are.
    """
    held_out = _held_out(labels, classes, seed)
    shares: dict[float, float] = {}
    start = None
    for penalty in sorted(PENALTIES, reverse=True):
        weight, bias, start = _fitted(features[~held_out], labels[~held_out], classes, penalty, start)
        shares[penalty] = float(((features[held_out] @ weight.T + bias).argmax(dim=1) == labels[held_out]).float().mean())
    best = max(shares, key=lambda penalty: (shares[penalty], penalty))
    weight, bias, _ = _fitted(features, labels, classes, best, None)
    return LinearHead(weight, bias, best, shares)


def _held_out(labels: Tensor, classes: int, seed: int) -> Tensor:
    """Which photographs are held out, bool (N,): a fifth of each class."""
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(classes):
        rows = torch.nonzero(labels == label)[:, 0]
        order = np.random.default_rng([seed, label]).permutation(len(rows))
        chosen[rows[order[: round(HELD_OUT * len(rows))]]] = True
    return chosen


def _fitted(
    features: Tensor, labels: Tensor, classes: int, penalty: float, start: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """The weights (C, D) and bias (C,) that take features as they are, and those that take standardised ones."""
    middle, spread = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    x = (features - middle) / spread
    weight = torch.zeros(classes, x.shape[1]) if start is None else start[0].clone()
    bias = torch.zeros(classes) if start is None else start[1].clone()
    weight.requires_grad_()
    bias.requires_grad_()
    solver = torch.optim.LBFGS([weight, bias], max_iter=_ITERATIONS, history_size=20, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(x @ weight.T + bias, labels) + penalty / 2 * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    weight, bias = weight.detach(), bias.detach()
    return weight / spread, bias - (weight / spread) @ middle, (weight, bias)


def export_head(
    model: Model, head: LinearHead, features: Tensor, train: ImageSet, val: ImageSet, command: str, folder: Path | None
) -> tuple[dict[str, Any], Path | None]:
    """The report of a head, and where it and its weights were written: in ``folder`` where there is one and the head is good enough.

    ``features`` (N, D) are those of the photographs of ``val``. TrainingError where the folder cannot be written.
    """
    from safetensors.torch import save

    logits = head.logits(features)
    ranked = logits.topk(min(5, len(val.classes)), dim=1).indices == torch.from_numpy(val.labels)[:, None]
    right = int(ranked[:, 0].sum())
    weights = save({"head.weight": head.weight.contiguous(), "head.bias": head.bias.contiguous()})
    facts = {
        "name": model.card.name,
        "labels": list(val.classes),
        "features": head.weight.shape[1],
        "accuracy": {
            "top1": right / len(val),
            "interval": list(wilson(right, len(val))),
            "top5": float(ranked.any(dim=1).float().mean()),
            "data": f"val, {len(val.classes)} classes of Tiny ImageNet, 64 x 64",
            "images": len(val),
        },
        "training": {
            "method": "multinomial logistic regression with an L2 penalty on the frozen features",
            "images": len(train),
            "penalty": head.penalty,
            "held_out": {f"{penalty:g}": share for penalty, share in sorted(head.held_out.items())},
            "command": command,
            "machine": f"torch {torch.__version__.partition('+')[0]}",
        },
        "backbone": state_fingerprint(model.module),
        "terms": TERMS,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    if folder is None or right < SHIPPED_FROM * len(val):
        return facts, None
    path = folder / f"{model.card.name}.safetensors"
    try:
        replace_file(path, weights)
        replace_file(path.with_suffix(".json"), (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise TrainingError(f"The head cannot be written to {folder}: {error.strerror or error}.") from error
    return facts, path
