"""What an audit adds to the maps where it is asked for: heads, features, answers by layer, scores. One more pass a picture, or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.errors import MethodError, VizlibError
from vizlib.explainers.api import trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.auditing.decoding import Decoded
    from vizlib.auditing.pictures import AuditPicture
    from vizlib.auditing.plan import ChunkPlan
    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

LENS = 4  # numbers kept of each block: class and probability of its first answer, probabilities of the model's answer and of the label


def head_arrays(model: Model, plan: ChunkPlan, readable: Sequence[Decoded]) -> tuple[dict[str, np.ndarray], dict[int, int]]:
    """Entropy (bits) and distance (pixels) of every head over the whole grid, (pictures of the chunk, heads) by attention, and how many
    cells stand out by their norm, by picture. NaN for a picture that was not read; attention inside windows has no such rows."""
    from vizlib.analysis.attention.artifact_tokens import artifact_cells, norms
    from vizlib.analysis.attention.head_statistics import head_statistics

    arrays: dict[str, np.ndarray] = {}
    counts: dict[int, int] = {}
    for one in readable:
        try:
            found: Any = trace(model, model.prepare(one.image, plan.fit)[0])
        except VizlibError:
            continue  # its rows say why it has no map either
        size = model.geometry(one.image.shape[:2], plan.fit).input_size
        counts[one.number] = sum(len(cells) for cells in artifact_cells(norms(found)).values())
        for site in found.attention:
            try:
                statistics = head_statistics(site, size)
            except MethodError:
                continue  # inside windows
            for measure in ("entropy", "distance"):
                values = getattr(statistics, measure)
                whole = arrays.setdefault(f"{measure}.{site.name}", np.full((len(plan.pictures), len(values)), np.nan, np.float32))
                whole[one.number] = values
    return arrays, counts


def feature_arrays(model: Model, plan: ChunkPlan, readable: Sequence[Decoded]) -> dict[str, np.ndarray]:
    """Of every layer the mean over cells, "features.NUMBER.LAYER", and its first learned token where it has one, "token.NUMBER.LAYER".

    Float32 (pictures of the chunk, channels), since single channels of large transformers reach beyond float16; NaN for what was not read.
    """
    from vizlib.analysis.features.layers import read

    arrays: dict[str, np.ndarray] = {}
    for one in readable:
        try:
            reading = read(model, model.prepare(one.image, plan.fit))
        except VizlibError:
            continue  # its rows say why it has no map either
        for number, (layer, states, learned) in enumerate(zip(reading.layers, reading.states, reading.learned, strict=True)):
            kept = {"features": states[0].double().mean(0)} | ({"token": learned[0, 0]} if learned.shape[1] else {})
            for kind, values in kept.items():
                row = values.float().cpu().numpy()
                whole = arrays.setdefault(f"{kind}.{number:03d}.{layer.name}", np.full((len(plan.pictures), len(row)), np.nan, np.float32))
                whole[one.number] = row
    return arrays


def no_lens(model: Model) -> str:
    """Why the answers after every block of a model cannot be read; empty where they can."""
    from vizlib.analysis.features.depth_answers import logit_lens

    try:
        logit_lens(model, np.full((64, 64, 3), 127, np.uint8), patches=False)
    except VizlibError as error:
        return str(error)
    return ""


def lens_arrays(model: Model, plan: ChunkPlan, readable: Sequence[Decoded]) -> dict[str, np.ndarray]:
    """What the head answers after each block, float32 (pictures of the chunk, LENS), by "lens.NUMBER.BLOCK"; NaN for what was not read."""
    from vizlib.analysis.features.depth_answers import logit_lens

    arrays: dict[str, np.ndarray] = {}
    for one in readable:
        try:
            lens = logit_lens(model, one.image, fit=plan.fit, patches=False)
        except VizlibError:
            continue  # its rows say why it has no map either
        shares, label = lens.probabilities.numpy(), own_label(plan, one.picture)
        of_label = np.full(len(lens.blocks), np.nan) if label is None else shares[:, label]
        rows = np.stack([lens.answers.numpy(), shares.max(1), shares[:, int(lens.answers[-1])], of_label], 1)
        for number, block in enumerate(lens.blocks):
            name = f"lens.{number:03d}.{block}"
            arrays.setdefault(name, np.full((len(plan.pictures), LENS), np.nan, np.float32))[one.number] = rows[number]
    return arrays


def score_rows(
    model: Model, plan: ChunkPlan, explained: Mapping[int, tuple[Decoded, Mapping[str, Explanation]]]
) -> dict[tuple[int, str], dict[str, float]]:
    """The quick scores of each map by (number, method): "score_NAME", and "gaussian_NAME" of a map that knows nothing of the picture.

    ``explained`` holds pictures with their explanations by method. What does not depend on the map is measured once for a picture.
    """
    from vizlib.evaluation.faithfulness import FaithfulnessScorer

    found: dict[tuple[int, str], dict[str, float]] = {}
    for number, (one, explanations) in explained.items():
        scorers: dict[Any, FaithfulnessScorer] = {}
        for method, explanation in explanations.items():
            target = explanation.target
            if target not in scorers:
                scorers[target] = FaithfulnessScorer(model, one.image, target, plan.fit)
            values = scorers[target].values(explanation, plan.scores)
            found[number, method] = {f"score_{name}": own for name, (own, _) in values.items()}
            found[number, method] |= {f"gaussian_{name}": gaussian for name, (_, gaussian) in values.items()}
    return found


def own_label(plan: ChunkPlan, picture: AuditPicture) -> int | None:
    """The model's class for a picture's label; None where it has none."""
    classes = plan.model.classes
    return classes[picture.label] if picture.label is not None and picture.label < len(classes) else None
