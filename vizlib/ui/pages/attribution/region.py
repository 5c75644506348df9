"""A region brushed on the photograph: what the model answers with it alone, without it, and how much of the score it carries."""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vizlib.figures.numbers import percent
from vizlib.ui.components.region_brush import region_brush
from vizlib.ui.core import computations, formatting, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.contents import heading
from vizlib.ui.core.message_codec import pack
from vizlib.ui.pages.attribution.region_work import compute_region
from vizlib.ui.pages.attribution.scheduler import SLOT

if TYPE_CHECKING:
    from vizlib.evaluation.measured import RegionScore
    from vizlib.ui.pages.attribution.map_work import ModelAnswer
    from vizlib.ui.pages.attribution.region_work import RegionResult
    from vizlib.ui.pages.attribution.scheduler import ExplainRequest, MethodScheduler

SLOT_REGION = f"{SLOT}region"
PATIENCE = 1.0  # seconds: an answer about a region takes a fraction of that
SHORT = 0.15  # seconds after which proofs that are under way make room
_UNITS = "Scores are logits, the bars probabilities."


def draw_region(request: ExplainRequest, answer: ModelAnswer, scheduler: MethodScheduler | None) -> None:
    """The photograph to brush on, and what the region under the brush carries."""
    heading("Ask the model itself")
    st.markdown("Brush what you think the answer rests on, let go, and the model is asked with that alone, and without it.")
    if not answer.ranking:
        st.info("A model without classes has no score that a region could carry.", icon=":material/info:")
        return

    @st.fragment
    def region() -> None:
        _region(request, answer, scheduler)

    region()


def _region(request: ExplainRequest, answer: ModelAnswer, scheduler: MethodScheduler | None) -> None:
    state = st.session_state
    size = answer.geometry.input_size
    brush = state.setdefault(SLOT_REGION, {"size": size, "text": "", "given": 0})
    if brush["size"] != size:
        brush |= {"size": size, "text": "", "given": brush["given"] + 1}

    def take() -> None:
        text = state[f"{SLOT}brush"].region
        if isinstance(text, str) and text != brush["text"]:
            brush["text"] = text

    mask = unpack_region(brush["text"], size)
    result = _submit(request, mask, scheduler) if mask is not None and mask.any() else None
    header: dict[str, Any] = {
        "title": request.picture.title, "size": list(answer.photo.shape[:2]), "grid": list(size), "given": brush["given"],
        "label": _label(request, answer),
    }  # fmt: skip
    if result is not None:
        header |= pack_region_score(result.region_score, pair=isinstance(request.goal, tuple))
    region_brush(pack(header, {"photo": answer.jpeg}), key=f"{SLOT}brush", on_region=here(take))
    if result is not None:
        st.caption(f"**Exactly:** {formatting.plain(result.region_score.definition)}")


def _submit(request: ExplainRequest, mask: np.ndarray, scheduler: MethodScheduler | None) -> RegionResult | None:
    region = hashlib.blake2b(np.packbits(mask).tobytes(), digest_size=12).hexdigest()
    key = ("region", request.picture.identity, request.fit, request.goal, region)
    work = partial(compute_region, mask, picture=request.picture, fit=request.fit, goal=request.goal)
    job = computations.compute(SLOT_REGION, key, [request.model], work)
    if job is not None and not job.wait(SHORT) and scheduler is not None:
        scheduler.make_way()
    job_slots.wait_for([job], PATIENCE)
    return computations.result_or_status(SLOT_REGION, job, [request.model])


def pack_region_score(carried: RegionScore, *, pair: bool = False) -> dict[str, Any]:
    """What the component says of a region: four probabilities with their least and most over baselines, and two sentences."""
    rows = [
        {"title": title, "value": value, "low": low, "high": high}
        for title, (value, low, high) in (
            ("the whole picture", carried.whole), ("the region alone", carried.kept), ("without the region", carried.hidden),
            ("an empty picture", carried.empty),
        )
    ]  # fmt: skip
    size = f"This region is {percent(carried.area)} of what the model gets."
    if np.isnan(carried.brings):
        return {"rows": rows, "words": f"{size} The whole picture scores no higher than an empty one, so there is nothing to carry."}
    units = "Scores are differences of the two logits, the bars probabilities as if there were only these two classes." if pair else _UNITS
    brings = f"brings {percent(carried.brings)} of the score" if carried.brings >= 0 else "scores less than an empty picture"
    loses = f"{percent(carried.loses)} of the score is lost" if carried.loses >= 0 else "the picture scores more"
    return {"rows": rows, "words": f"{size} Alone it {brings}; without it {loses}. {units}"}


def unpack_region(text: str, size: tuple[int, int]) -> np.ndarray | None:
    """The region that the browser tells, bits in base64, as bool (h, w); None for what is no region of this size."""
    count = size[0] * size[1]
    try:
        bits = np.unpackbits(np.frombuffer(base64.b64decode(text, validate=True), np.uint8))
    except (binascii.Error, ValueError):
        return None
    return bits[:count].astype(bool).reshape(size) if len(bits) == -(-count // 8) * 8 and count <= len(bits) else None


def _label(request: ExplainRequest, answer: ModelAnswer) -> str:
    labels = {row.index: row.label for row in answer.ranking}
    goal = request.goal
    if isinstance(goal, tuple):
        return f"{labels[goal[0]]} rather than {labels[goal[1]]}"
    return labels.get(goal, "") if goal is not None else ""
