"""The maps side by side, as the component of the grid takes them: on one grid, with where each stands and the badge under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.catalog.methods import METHODS
from vizlib.figures.map_scale import QUANTILE, upper_end
from vizlib.ui.components._lib import viridis
from vizlib.ui.core import formatting
from vizlib.ui.core.message_codec import pack
from vizlib.ui.pages.attribution import text as attribution_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import Explanation
    from vizlib.ui.pages.attribution.map_work import ModelAnswer
    from vizlib.ui.pages.attribution.scheduler import MethodScheduler, MethodState

LONGEST = 112  # cells of a map on the grid; the arrays to take away have them all
SCALES = ("own", "max", "stretch", "one")


@dataclass(frozen=True, eq=False)
class ScaledMap:
    """A map as the grid shows it: values (h, w) in multiples of the mean size of a pixel's value, and where its own scale ends.

    ``unit_value`` is that mean in the method's own unit, ``highest`` the largest multiple, of magnitudes for a ``signed`` map.
    """

    values: np.ndarray
    unit_value: float
    low: float
    top: float
    highest: float
    signed: bool

    def ends(self, scale: str, common: float = 0.0) -> tuple[float, float]:
        """Where the colours begin and end on a scale of ``SCALES``; ``common`` is the end of the one for all."""
        if scale == "one":
            return 0.0, common
        return self.low if scale == "stretch" else 0.0, self.highest if scale == "max" else self.top


def scaled_map(explanation: Explanation, content: np.ndarray) -> ScaledMap:
    """A map over the mean of its absolute values on the picture: methods differ in units, and this is what they have in common.

    Its own scale goes from zero, or from the lowest 1 %, to where ``figures.map_scale`` has it for what is on the picture; ``content``
    (h, w) is False on padding.
    """
    from vizlib.figures.overlay import shrunk

    values = np.nan_to_num(explanation.drawn, nan=0.0)
    inside = values[content] if content.any() else values.ravel()
    mean = float(np.abs(inside).mean())
    scaled = shrunk(values / mean if mean > 0 else np.zeros_like(values), LONGEST)
    part = inside / mean if mean > 0 else np.zeros_like(inside)
    signed = explanation.signed
    low = 0.0 if signed else float(np.quantile(part, 1 - QUANTILE))
    return ScaledMap(scaled, mean, low, upper_end(part, None if signed else 1.0), float(np.abs(part).max()), signed)


def pack_map_grid(scheduler: MethodScheduler, answer: ModelAnswer, view: dict[str, Any], depth: str, heard: int) -> bytes:
    """The photograph, the maps that are there, for every method where it stands, and the number of the last click that was heard."""
    content = answer.geometry.content
    arrays: dict[str, np.ndarray] = {
        "photo": answer.jpeg,
        "viridis": viridis(),
        "diverging": _diverging(),
    }
    cards = []
    states = scheduler.states()
    for state in states:
        card = _card(scheduler, state, depth, all_settled=all(each.settled for each in states))
        if state.explanation is not None:
            scaled = scaled_map(state.explanation, content)
            low, high = float(scaled.values.min()), float(scaled.values.max())
            levels = (scaled.values - low) * (65535 / (high - low) if high > low else 0.0)
            arrays[f"{state.name}.map"] = np.rint(levels).astype(np.uint16)
            card |= {"ends": [low, high], "low": scaled.low, "top": scaled.top, "highest": scaled.highest}
            card |= {"unitValue": scaled.unit_value, "signed": scaled.signed}
        cards.append(card)
    side = next((array.shape for name, array in arrays.items() if name.endswith(".map")), None)
    if side is not None:
        arrays["content"] = content_cells(content, side)
    header = {
        "title": scheduler.request.picture.title,
        "size": list(answer.photo.shape[:2]),
        "cards": cards,
        "view": view,
        "heard": heard,
        "status": status(scheduler, states),
        "busy": scheduler.busy,
        "stopped": scheduler.stopped,
    }
    return pack(header, arrays)


def status(scheduler: MethodScheduler, states: Sequence[MethodState]) -> str:
    """How far the work is, in one line."""
    maps = sum(state.settled and not state.refusal for state in states)
    badges = sum(state.proof is not None and state.proof.badge is not None for state in states)
    text = f"{maps} of {len(states)} maps{_none(sum(bool(state.refusal) for state in states))}"
    if scheduler.maps_after:
        seconds = sum(state.explanation.seconds for state in states if state.explanation is not None)
        text += f" in {formatting.seconds(scheduler.maps_after)} ({formatting.seconds(seconds)} of work)"
    if scheduler.prove:
        text += f" · {badges} of {len(states)} badges{_none(sum(state.proven for state in states) - badges)}"
        if scheduler.proofs_after:
            text += f" after {formatting.seconds(scheduler.proofs_after)}"
    return text


def _none(count: int) -> str:
    """Of how many there will be none."""
    return f" ({count} {'has' if count == 1 else 'have'} none)" if count else ""


def _card(scheduler: MethodScheduler, state: MethodState, depth: str, *, all_settled: bool) -> dict[str, Any]:
    method = METHODS[state.name]
    if state.refusal:
        note = "no map"
    elif state.explanation is None:
        note = "stopped" if scheduler.stopped else "waiting"
    elif state.coarse:
        note = attribution_words.first_look(state.name, *(scheduler.request.given(state.name, coarse=coarse) for coarse in (False, True)))
    else:
        note = formatting.seconds(state.explanation.seconds)
    chosen = attribution_words.chosen_options(state.name, scheduler.request.given(state.name, coarse=False))
    if chosen:
        note += f" \u00b7 {chosen}"
    stage = "refused" if state.refusal else "waiting" if state.explanation is None else "first" if state.coarse else "done"
    return {
        "name": state.name,
        "title": method.title,
        "summary": method.summary,
        "state": stage,
        "note": note,
        "refusal": state.refusal,
        "badge": _badge(state, prove=scheduler.prove, stopped=scheduler.stopped, all_settled=all_settled),
        "on": state.name == depth,
    }


def _badge(state: MethodState, *, prove: bool, stopped: bool, all_settled: bool) -> dict[str, Any]:
    proof = state.proof
    if state.refusal or state.proof_refusal:
        return {"state": "none", "text": "no score", "words": state.refusal or state.proof_refusal, "lines": []}
    if proof is None:
        if not prove:
            return {"state": "asleep", "text": "not measured", "words": "Nothing was measured yet: the button above does it.", "lines": []}
        if stopped:
            words = "Stopped before it was measured: “Go on” above the maps takes it up again."
        elif all_settled:
            words = "All maps are there; their badges come one after another."
        else:
            words = "The badge comes once all maps are there."
        return {"state": "pending", "text": "stopped" if stopped else "pending", "words": words, "lines": []}
    rows = attribution_words.lines(proof.scores, proof.checks)
    if proof.badge is None:
        return {"state": "none", "text": "no badge", "words": " ".join(proof.refused), "lines": rows}
    badge = proof.badge
    return {
        "state": badge.verdict,
        "text": f"{badge.passed} of {badge.tests} passed",
        "words": " ".join([badge.words, *proof.refused]),
        "lines": rows,
    }


def _diverging() -> np.ndarray:
    from vizlib.figures.colormaps import diverging

    return np.frombuffer(diverging(), np.uint8).reshape(256, 3)


def content_cells(content: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Which cells (h, w) hold picture, at the size of the maps on the grid."""
    from vizlib.figures.overlay import shrunk

    if content.shape == tuple(size):
        return content.astype(np.uint8)
    return (shrunk(content.astype(np.float32), LONGEST) > 0.5).astype(np.uint8)
