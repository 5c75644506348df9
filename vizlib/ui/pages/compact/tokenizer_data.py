"""What the Compact Transformers page knows of one model and one picture: covers, read-out weights, shares of logits, and drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.figures.colormaps import tables
from vizlib.ui.core.message_codec import levels, pack
from vizlib.ui.core.tables import to_csv

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from vizlib import Model
    from vizlib.analysis.receptive_field.theoretical_receptive_field import Reach
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture

TOP = 5


@dataclass(frozen=True, eq=False)
class Sharing:
    """One window operator in numbers; each of its weights is used once for every cell of its ``grid`` (h, w)."""

    name: str
    window: str
    grid: tuple[int, int]
    parameters: int
    connections: int


@dataclass(frozen=True, eq=False)
class Column:
    """One model's column: the browser's message, and what tables and files are made of.

    ``weights`` (h, w) are those of the read-out, ``parts`` (h w, K) each token's share of each logit where there is one.
    """

    payload: bytes
    title: str
    labels: list[str]
    weights: np.ndarray
    parts: np.ndarray | None
    covers: list[tuple[int, int, int, int]]
    cover: str
    sharing: list[Sharing]

    @property
    def nbytes(self) -> int:
        return 2 * len(self.payload)


@dataclass(frozen=True, eq=False)
class Drift:
    """How far tokens and read-out features drift when the picture moves by each of ``shifts`` pixels."""

    shifts: list[int]
    stride: int
    tokens: list[float]
    features: list[float]

    @property
    def nbytes(self) -> int:
        return 64 * len(self.shifts)


def compute_column(title: str, untrained: bool, model: Model, picture: Picture, fit: str | None, progress: Progress) -> Column:
    """Run the model once and lay out how it makes its tokens and how it reads them out."""
    from vizlib.analysis.receptive_field.tokenizer import cover, routes
    from vizlib.passes.forward import run

    progress(0, None, f"Running {title}")
    forward = run(model, model.prepare(picture.pixels, fit))
    transform: Any = model.transform
    reach = cover(model, forward.size)
    arrays: dict[str, np.ndarray] = {
        "photo": transform.to_rgb(forward.x.float().cpu()),
        "colours": np.frombuffer(tables(), np.uint8)[:768],
        "down": reach.down.numpy().astype(np.int32),
        "across": reach.across.numpy().astype(np.int32),
    }
    weights, own, parts, bias = _readout(forward)
    arrays["weights"] = weights
    logits = forward.logits[0].float().cpu()
    arrays["logits"], arrays["probabilities"] = logits.numpy(), model.probabilities(logits).numpy()
    if parts is not None and bias is not None:
        arrays |= {"parts": parts.T, "bias": bias}
    pooled = bool(getattr(getattr(model.module, "tokenizer", None), "pool", False))
    if pooled:
        progress.check()
        arrays |= _windows(routes(forward).cpu().numpy(), reach)
    labels = [model.label(index) if model.labels else f"class {index}" for index in range(len(logits))]
    header = {
        "title": title,
        "untrained": untrained,
        "size": forward.size,
        "grid": reach.grid,
        "own": own,
        "labels": labels,
        "order": [int(index) for index in logits.argsort(descending=True)[:TOP]],
        "pooled": pooled,
    }
    middle = reach.box(reach.grid[0] // 2, reach.grid[1] // 2)
    covers = [reach.box(row, place) for row in range(reach.grid[0]) for place in range(reach.grid[1])]
    size = f"{middle[2] - middle[0]} × {middle[3] - middle[1]}"
    return Column(pack(header, arrays), title, labels, weights.reshape(reach.grid), parts, covers, size, _sharing(model, forward.size))


def compute_drift(model: Model, picture: Picture, fit: str | None, progress: Progress) -> Drift:
    """Move the picture pixel by pixel over one cell, and measure what the tokeniser and the whole model make of it."""
    from vizlib.analysis.perturbation.equivariance import feature_drift, map_drift
    from vizlib.analysis.receptive_field.tokenizer import cover, features_of, token_maps_of

    progress(0, None, "Moving the picture pixel by pixel")
    x = model.prepare(picture.pixels, fit)
    size = (int(x.shape[2]), int(x.shape[3]))
    reach = cover(model, size)
    stride = size[1] // reach.grid[1]
    boxes = [reach.box(0, place) for place in range(reach.grid[1])]
    beyond = max(max(stride * place - left, right - stride * (place + 1), 0) for place, (_, left, _, right) in enumerate(boxes))
    shifts = list(range(stride + 1))
    tokens = map_drift(token_maps_of(model), x, shifts, stride, beyond)
    progress.check()
    return Drift(shifts, stride, tokens.tolist(), feature_drift(features_of(model), x, shifts).tolist())


def tokens_csv(columns: list[Column]) -> str:
    """One line for each token of each model: place, pixels covered (ends left out), read-out weight, share of the model's own answer."""

    def rows() -> Iterator[list[Any]]:
        for column in columns:
            answer = None if column.parts is None else int(column.parts.sum(0).argmax())
            for index, box in enumerate(column.covers):
                row, place = divmod(index, column.weights.shape[1])
                share: list[str | None] = [None, None]
                if answer is not None and column.parts is not None:
                    share = [column.labels[answer], f"{column.parts[index, answer]:.6g}"]
                yield [column.title, row, place, *box, f"{column.weights[row, place]:.6g}", *share]

    names = ["model", "row", "column", "top", "left", "bottom", "right", "read-out weight", "answer", "share of its logit"]
    return to_csv(names, rows())


def to_png(columns: list[Column], photos: list[np.ndarray]) -> bytes:
    """The read-out weights of all models over the photograph as each gets it, side by side."""
    import cv2

    from vizlib.figures.map_scale import upper_end
    from vizlib.figures.overlay import encode_png, overlay

    side, panels = 320, []
    for column, photo in zip(columns, photos, strict=True):
        wide = cv2.resize(photo, (side, side), interpolation=cv2.INTER_NEAREST)
        spread = cv2.resize(column.weights.astype(np.float32), (side, side), interpolation=cv2.INTER_NEAREST)
        high = upper_end(column.weights.ravel(), 1 / column.weights.size)  # the weights of all tokens add up to 1
        panels += [overlay(wide, spread, high=high), np.full((side, 8, 3), 255, np.uint8)]
    return encode_png(np.concatenate(panels[:-1], axis=1))


def _readout(forward: Any) -> tuple[np.ndarray, float, np.ndarray | None, np.ndarray | None]:
    """Weights of the tokens (N,), the class token's weight on itself, and for sequence pooling parts (N, K) and bias (K,)."""
    from vizlib.analysis.attention.sequence_pooling import pooled_shares

    module: Any = forward.model.module
    if forward.model.adapter.family == "compact" and module.classifier.seq_pool:
        head = module.classifier
        tokens = forward.recording.notes["classifier.norm"]["tokens"][0].detach()
        score, bias = head.attention_pool.weight[0].detach(), head.attention_pool.bias.detach()
        shares = pooled_shares(tokens, score, bias, head.fc.weight.detach(), head.fc.bias.detach())
        return _array(shares.weights), 0.0, _array(shares.parts), _array(shares.bias)
    site = forward.lineage().sites[-1]
    row = site.weights(rows=[0])[:, 0].double().mean(0)
    return _array(row[site.prefix :]), float(row[: site.prefix].sum()), None, None


def _windows(rows: np.ndarray, reach: Reach) -> dict[str, np.ndarray]:
    """Rows (tokens, h w) cut to each token's own box, which all have one size but at the border: (tokens, H, W) levels, peaks, corners."""
    height, width = reach.size
    boxes = np.array([reach.box(row, place) for row in range(reach.grid[0]) for place in range(reach.grid[1])])
    tall, wide = int((boxes[:, 2] - boxes[:, 0]).max()), int((boxes[:, 3] - boxes[:, 1]).max())
    top, left = np.minimum(boxes[:, 0], height - tall), np.minimum(boxes[:, 1], width - wide)
    cut = np.stack([cells.reshape(height, width)[y : y + tall, x : x + wide].ravel() for cells, y, x in zip(rows, top, left, strict=True)])
    shares, peaks = levels(cut)
    return {"routes": shares.reshape(-1, tall, wide), "peaks": peaks, "corners": np.stack([top, left], 1).astype(np.int32)}


def _sharing(model: Model, size: tuple[int, int]) -> list[Sharing]:
    from vizlib.analysis.receptive_field.theoretical_receptive_field import parents
    from vizlib.analysis.receptive_field.tokenizer import layers

    rows = []
    for layer in layers(model):
        size = parents(size, layer.window).grid
        if layer.parameters:
            kernel, stride, _ = layer.window
            rows.append(
                Sharing(layer.name, f"{kernel}\u00a0×\u00a0{kernel}, stride\u00a0{stride}", size, layer.parameters, layer.connections(size))
            )
    return rows


def _array(values: torch.Tensor) -> np.ndarray:
    return values.float().cpu().numpy()
