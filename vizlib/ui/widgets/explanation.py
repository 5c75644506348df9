"""An explanation as pages ask for it and draw it: the model's answers, and the map packed for the browser or why there is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import vizlib
from vizlib.engine.gathering import Gathering
from vizlib.engine.limits import limits
from vizlib.engine.progress import told_to
from vizlib.figures.numbers import alike, counted, percent
from vizlib.ui.components.photo_map import MapData, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import Explanation, Geometry, Model, Prediction
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture


@dataclass(frozen=True)
class ExplanationRequest:
    """What is asked of a model: this picture by its identity, this method, this class (None: the model's own answer).

    Or the likeness to another picture, whose identity ``like`` is, instead of a class.
    """

    picture: str
    method: str
    target: int | None
    fit: str | None
    options: tuple[tuple[str, Any], ...]
    like: str | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model said of a picture: all classes by falling probability, and the map or the sentence that says why there is none."""

    ranking: list[Prediction]
    explanation: Explanation | None
    refusal: str
    map: MapData | None
    payload: bytes

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        explanation = self.explanation
        arrays = explanation.image.nbytes + explanation.input_map.nbytes if explanation is not None else 0
        return len(self.payload) + 300 * len(self.ranking) + arrays

    @property
    def cosine(self) -> float | None:
        """The cosine of the picture's features with those of the other one, where that is what was explained."""
        explanation = self.explanation
        if explanation is None or explanation.similar_to is None:
            return None
        own, other = explanation.logits.astype(np.float64), explanation.similar_to.astype(np.float64)
        return float(own @ other / (np.linalg.norm(own) * np.linalg.norm(other)))


def compute_ranking(picture: Picture, fit: str | None, model: Model, progress: Progress) -> list[Prediction]:
    """All classes by falling probability, of a picture alone."""
    progress(0, None, "Answering")
    return _ranking(model, picture, fit, None)


def compute_answer(
    request: ExplanationRequest, picture: Picture, model: Model, progress: Progress, *, like: Picture | None = None
) -> Answer:
    """Explain what a model says of a picture, or how it is ``like`` another; what does not fit the model is a refusal, not an error."""
    progress(0, None, "Explaining")
    explanation: Explanation | None = None
    refusal = ""
    try:
        target = request.target if like is None else vizlib.similar_to(like.pixels, fit=request.fit)
        with told_to(progress):
            explained = _explained(model, picture.pixels, target, request)
    except (vizlib.MethodError, vizlib.TargetError) as error:
        refusal = str(error)
    else:
        # The page already holds the picture: one copy is enough.
        explanation = replace(explained, image=picture.pixels)
    data = map_data(explanation)
    return Answer(_ranking(model, picture, request.fit, explanation), explanation, refusal, data, pack(picture, data))


def _explained(model: Model, pixels: np.ndarray, target: Any, request: ExplanationRequest) -> Explanation:
    """The explanation of one picture; on a card in one batch with those that others ask of the same model, method and options."""

    def together(items: list[tuple[np.ndarray, Any]]) -> list[Explanation]:
        pictures, targets = zip(*items, strict=True)
        explained = vizlib.explain(model, list(pictures), request.method, list(targets), request.fit, **dict(request.options))
        return cast("list[Explanation]", explained)

    if model.device.type == "cpu":
        return together([(pixels, target)])[0]
    return _gathering().run((id(model), request.method, request.fit, request.options), (pixels, target), together)


@cache
def _gathering() -> Gathering[tuple[np.ndarray, Any], Explanation]:
    return Gathering(limits().light_at_once)


def map_data(explanation: Explanation | None) -> MapData | None:
    """An explanation's map with the unit in which the browser names its values."""
    if explanation is None:
        return None
    values = explanation.drawn
    if explanation.signed:
        return MapData(values, 1.0, "score", explanation.geometry)
    if explanation.options.get("show") == "lift":
        return MapData(values, 1.0, "lift", explanation.geometry)
    total = float(np.nansum(values)) + (explanation.drawn_sink or 0.0)
    return MapData(values, total / values.size, "share", explanation.geometry)


def sink_sentence(explanation: Explanation) -> str:
    """How much of what a map follows lies outside of its picture, of the map that is drawn."""
    share = f"**{percent(explanation.drawn_sink or 0.0)}**"
    if explanation.method == "attention":
        return f"{share} of this attention lies on learned tokens or padding, not on the picture."
    return f"{share} of the walk ends in learned tokens or padding, not in the picture."


def sum_words(explanation: Explanation) -> str:
    """What adds up to what in a map whose ``facts`` hold it against the score's change: of superpixels the values, each counted once."""
    adds_up, changes = alike(explanation.facts["sum"], explanation.facts["change"], digits=4)
    pieces = explanation.facts.get("pieces")
    what = "the map adds" if pieces is None else f"the values of its {counted(int(pieces), 'superpixel')} add"
    return f"{what} up to {adds_up}, and the score changes by {changes} from the baseline"


def pack_shares(picture: Picture, values: np.ndarray, geometry: Geometry) -> bytes:
    """The message of a map whose pixels and learned tokens share 1, as a rollout's do."""
    return pack(picture, MapData(values, 1 / values.size, "share", geometry))


def pack_compared(picture: Picture, maps: Sequence[np.ndarray], geometry: Geometry) -> list[bytes]:
    """The messages of such maps that are compared: the colours of all end where those of the most concentrated one do."""
    shares = [MapData(values, 1 / values.size, "share", geometry) for values in maps]
    peak = max(data.peak for data in shares)
    return [pack(picture, data, peak) for data in shares]


def class_labels(ranking: Sequence[Prediction]) -> dict[int, str]:
    """A text for every class, in the order of the alphabet: each its own and never another one, for the browser answers with it."""
    rows = sorted(ranking, key=lambda row: row.label.lower())
    alike = Counter(row.label for row in rows)
    return {row.index: row.label if alike[row.label] == 1 else f"{row.label} ({row.index})" for row in rows}


def _ranking(model: Model, picture: Picture, fit: str | None, explanation: Explanation | None) -> list[Prediction]:
    """All classes by falling probability, from the pass that the explanation made or, where there is none, from one more."""
    import torch

    from vizlib.explainers.api import ranked

    if not model.adapter.classes:
        return []
    if explanation is not None:
        return ranked(model, torch.from_numpy(explanation.logits), model.adapter.classes)
    with torch.inference_mode():
        return ranked(model, model(model.prepare(picture.pixels, fit))[0].float().cpu(), model.adapter.classes)
