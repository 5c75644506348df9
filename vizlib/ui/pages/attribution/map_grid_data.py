"""The maps side by side, as the component of the wall takes them: on one grid, with where each stands and the badge under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.catalog.methods import METHODS
from vizlib.ui.components._lib import viridis
from vizlib.ui.core import formatting
from vizlib.ui.core.message_codec import pack
from vizlib.ui.pages.attribution import text as attribution_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import Explanation
    from vizlib.ui.pages.attribution.scheduler import MethodScheduler, MethodState, ModelAnswer

LONGEST = 112  # cells of a map on the wall; the arrays to take away have them all
CLIPPED = 0.99  # the quantile at which a scale of its own ends
SCALES = ("own", "stretch", "one")


@dataclass(frozen=True, eq=False)
class ScaledMap:
    """A map as the wall shows it: values (h, w) in multiples of the mean size of a pixel's value, and where its own scale ends.

    ``one`` is that mean in the method's own unit.
    """

    values: np.ndarray
    one: float
    low: float
    top: float
    signed: bool


def scaled_map(explanation: Explanation, content: np.ndarray) -> ScaledMap:
    """A map over the mean of its absolute values on the picture: methods differ in units, and this is what they have in common.

    Its own scale goes from zero, or from the lowest 1 %, to the 99 % quantile of what is on the picture; ``content`` (h, w) is False on
    padding.
    """
    from vizlib.figures.overlay import shrunk

    values = np.nan_to_num(explanation.input_map, nan=0.0)
    inside = values[content] if content.any() else values.ravel()
    one = float(np.abs(inside).mean())
    scaled = shrunk(values / one if one > 0 else np.zeros_like(values), LONGEST)
    part = inside / one if one > 0 else np.zeros_like(inside)
    signed = METHODS[explanation.method].signed
    low = 0.0 if signed else float(np.quantile(part, 1 - CLIPPED))
    return ScaledMap(scaled, one, low, float(np.quantile(np.abs(part), CLIPPED)), signed)


def pack_map_grid(board: MethodScheduler, answered: ModelAnswer, view: dict[str, Any], depth: str) -> bytes:
    """The photograph, the maps that are there, and for every method where it stands."""
    content = answered.geometry.content
    arrays: dict[str, np.ndarray] = {
        "photo": answered.jpeg,
        "viridis": viridis(),
        "diverging": _diverging(),
    }
    cards = []
    standings = board.standings()
    for one in standings:
        card = _card(one, depth, prove=board.prove, stopped=board.stopped)
        if one.explanation is not None:
            found = scaled_map(one.explanation, content)
            low, high = float(found.values.min()), float(found.values.max())
            levels = (found.values - low) * (65535 / (high - low) if high > low else 0.0)
            arrays[f"{one.name}.map"] = np.rint(levels).astype(np.uint16)
            card |= {"ends": [low, high], "low": found.low, "top": found.top, "one": found.one, "signed": found.signed}
        cards.append(card)
    side = next((array.shape for name, array in arrays.items() if name.endswith(".map")), None)
    if side is not None:
        arrays["content"] = _content(content, side)
    header = {
        "title": board.asking.picture.title,
        "size": list(answered.photo.shape[:2]),
        "cards": cards,
        "view": view,
        "status": status(board, standings),
        "busy": board.busy,
        "stopped": board.stopped,
    }
    return pack(header, arrays)


def status(board: MethodScheduler, standings: Sequence[MethodState]) -> str:
    """How far the work is, in one line."""
    maps, proofs = sum(one.settled for one in standings), sum(one.proven for one in standings)
    told = f"{maps} of {len(standings)} maps"
    if board.maps_after:
        told += f" in {formatting.seconds(board.maps_after)}"
    if board.prove:
        told += f" · {proofs} of {len(standings)} badges"
        if board.proofs_after:
            told += f" after {formatting.seconds(board.proofs_after)}"
    return told


def _card(one: MethodState, depth: str, *, prove: bool, stopped: bool) -> dict[str, Any]:
    method = METHODS[one.name]
    if one.refusal:
        note = "no map"
    elif one.explanation is None:
        note = "stopped" if stopped else "waiting"
    elif one.coarse:
        note = attribution_words.first_look(one.name)
    else:
        note = formatting.seconds(one.explanation.seconds)
    state = "refused" if one.refusal else "waiting" if one.explanation is None else "first" if one.coarse else "done"
    return {
        "name": one.name,
        "title": method.title,
        "summary": method.summary,
        "state": state,
        "note": note,
        "refusal": one.refusal,
        "badge": _badge(one, prove=prove, stopped=stopped),
        "on": one.name == depth,
    }


def _badge(one: MethodState, *, prove: bool, stopped: bool) -> dict[str, Any]:
    proof = one.proof
    if one.refusal or one.proof_refusal:
        return {"state": "none", "text": "no score", "words": one.refusal or one.proof_refusal, "lines": []}
    if proof is None:
        if not prove:
            return {"state": "asleep", "text": "not measured", "words": "Nothing was measured yet: the button above does it.", "lines": []}
        text = "stopped" if stopped else "pending"
        return {"state": "pending", "text": text, "words": "The badge comes once all maps are there.", "lines": []}
    rows = attribution_words.lines(proof.scores, proof.checks)
    if proof.badge is None:
        return {"state": "none", "text": "no badge", "words": " ".join(proof.refused), "lines": rows}
    found = proof.badge
    return {
        "state": found.verdict,
        "text": f"{attribution_words.VERDICTS[found.verdict]} {found.passed}/{found.asked}",
        "words": " ".join([found.words, *proof.refused]),
        "lines": rows,
    }


def _diverging() -> np.ndarray:
    from vizlib.figures.colormaps import diverging

    return np.frombuffer(diverging(), np.uint8).reshape(256, 3)


def _content(content: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Which cells (h, w) hold picture, at the size of the maps on the wall."""
    from vizlib.figures.overlay import shrunk

    if content.shape == tuple(size):
        return content.astype(np.uint8)
    return (shrunk(content.astype(np.float32), LONGEST) > 0.5).astype(np.uint8)
