"""One method closely: what its map predicts, whether it changes when the model does, and what of it stays under noise."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.engine.work_order import Lane
from vizlib.figures.map_scale import QUANTILE, upper_end
from vizlib.figures.numbers import decimal, percent
from vizlib.ui.core import computations, formatting
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.contents import heading
from vizlib.ui.core.url_state import resend
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.attribution import text as attribution_words
from vizlib.ui.pages.attribution.detail_work import compute_cascade, compute_stability
from vizlib.ui.pages.attribution.scheduler import SLOT
from vizlib.ui.widgets.method_options import draw_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from vizlib import Explanation
    from vizlib.evaluation.checks import Check
    from vizlib.evaluation.measured import Curves
    from vizlib.ui.pages.attribution.map_work import ModelAnswer
    from vizlib.ui.pages.attribution.scheduler import MethodScheduler
    from vizlib.ui.pages.attribution.view import View
    from vizlib.ui.sections.proof import Proof
    from vizlib.ui.widgets.method_options import MethodChoice

_STOPPED = "Stopped: “Go on” above the maps takes it up again."


def draw_method_detail(scheduler: MethodScheduler, answer: ModelAnswer, view: View, choices: dict[str, MethodChoice]) -> None:
    """Everything that is known of one method's map."""
    heading("One method, closely")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Method", list(choices), key=resend(view.depth), format_func=lambda method: METHODS[method].title)
        refusals = choices[name].card.refusals
        if any(option.needs not in refusals for option in choices[name].method.options):
            draw_options(choices[name])
    method, state = METHODS[name], scheduler.state_of(name)
    st.markdown(f"{method.summary} {formatting.linked(f'{method.paper}, {method.paper_url}')}.")
    chosen = attribution_words.chosen_options(name, choices[name].options)
    if chosen:
        st.caption(f"That is the method as it comes. Here it has other options: {formatting.plain(chosen)}.")
    if state.refusal:
        st.info(formatting.plain(state.refusal), icon=":material/block:")
        return
    if state.explanation is None:
        st.markdown(f":material/hourglass_top: {_STOPPED if scheduler.stopped else 'Its map is not there yet.'}")
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        _draw_map(state.explanation, answer, view)
        st.markdown(attribution_words.facts(state.explanation))
        for note in state.explanation.notes:
            st.info(formatting.plain(note), icon=":material/info:")
    with right:
        _draw_badge(state.proof, state.proof_refusal, prove=scheduler.prove, stopped=scheduler.stopped)
    if state.coarse or not all(each.settled for each in scheduler.states()):
        st.caption(_STOPPED if scheduler.stopped else "What follows comes after the last map.")
        return
    if state.proof is not None and state.proof.curves is not None:
        _draw_curves(state.proof.curves, method.title)
    if state.proof is not None and state.proof.checks:
        _draw_sanity(scheduler, state.explanation, state.proof.checks, answer, view)
    _draw_stability(scheduler, state.explanation, answer)


def _draw_map(explanation: Explanation, answer: ModelAnswer, view: View) -> None:
    st.image(_png(picture_of(explanation.drawn, answer, view.grid, signed=explanation.signed)), width="stretch", output_format="PNG")


def picture_of(values: np.ndarray, answer: ModelAnswer, appearance: dict[str, Any], *, signed: bool) -> np.ndarray:
    """A map over the photograph, on a scale of its own: uint8 (H, W, 3)."""
    import numpy as np

    from vizlib.figures.attribution_pictures import tile

    inside = values[answer.geometry.content & np.isfinite(values)]
    even = None if signed else float(np.abs(inside).mean()) if inside.size else 0.0
    top = float(np.abs(inside).max(initial=0.0)) if appearance["scale"] == "max" else upper_end(inside, even)
    low = float(np.quantile(inside, 1 - QUANTILE)) if appearance["scale"] == "stretch" and inside.size else 0.0
    return tile(answer.photo, np.nan_to_num(values, nan=0.0), low, top, appearance["opacity"], signed=signed)


def _draw_badge(proof: Proof | None, refusal: str, *, prove: bool, stopped: bool) -> None:
    if refusal:
        st.info(formatting.plain(refusal), icon=":material/block:")
        return
    if proof is None:
        text = _STOPPED if stopped else "Its badge is not there yet." if prove else "How far it can be trusted was not measured yet."
        st.markdown(f":material/hourglass_top: {text}")
        return
    if proof.badge is not None:
        colour = {"passed": "green", "mixed": "orange", "failed": "red"}[proof.badge.verdict]
        passed = f"{proof.badge.passed} of {proof.badge.tests} passed"
        st.markdown(f":{colour}-badge[{passed}] {formatting.plain(proof.badge.words)}")
    for text in proof.refused:
        st.caption(formatting.plain(text))
    rows = attribution_words.lines(proof.scores, proof.checks)
    sign = {True: ":green[:material/check:]", False: ":red[:material/close:]", None: ":gray[:material/remove:]"}
    # Two columns of words and no more: a third leaves them a word a line on a telephone.
    measured = [f"**{row['title']}** {formatting.plain(row['value'])}".replace("-n", "\u2011n") for row in rows]
    table = "\n".join(
        f"| {sign[row['passed']]} | {value} | {formatting.plain(row['beside'])} |" for row, value in zip(rows, measured, strict=True)
    )
    st.markdown(f"| | measure | beside it |\n|---|---|---|\n{table}")
    with st.expander("Exactly", icon=":material/functions:"):
        st.markdown("\n".join(f"- **{row['title']}**: {formatting.plain(row['rule'])}" for row in rows))


def _draw_curves(curves: Curves, title: str) -> None:
    from vizlib.figures.attribution_charts import removal_curve
    from vizlib.figures.charts import CONFIG

    st.subheader("What the map predicts", anchor=False)
    draw_text(
        "Pixels are taken away, or given back to an empty picture, in the map's order. A map that knows what matters makes the answer "
        "fall at once as they are taken away, and come back at once as they are given back."
    )
    for place, kind in zip(st.columns(2, gap="medium"), ("deletion", "insertion"), strict=True):
        own = tuple(getattr(curves, f"{kind}{end}") for end in ("", "_low", "_high"))
        others = tuple(getattr(curves, f"{kind}_random_{end}") for end in ("low", "high"))
        figure = removal_curve(curves.share, own, others, getattr(curves, f"{kind}_gaussian"), title, insert=kind == "insertion")
        place.plotly_chart(figure, key=f"{SLOT}{kind}", config=CONFIG, alt=f"{kind}: probability over the share of pixels")


def _draw_sanity(scheduler: MethodScheduler, explanation: Explanation, checks: dict[str, Check], answer: ModelAnswer, view: View) -> None:
    st.subheader("Does it change when the model does?", anchor=False)
    draw_text(
        "A map that looks the same after the model's weights were drawn anew, or for another class, does not tell of what was learned "
        "([Adebayo et al. 2018](https://arxiv.org/abs/1810.03292))."
    )
    tiles: list[tuple[str, str, np.ndarray, bool | None]] = [("The map", "", explanation.drawn, None)]
    tiles += [(check.title, check_note(check), check.map, check.passed) for check in checks.values()]
    _draw_tiles(tiles, answer, view, signed=explanation.signed)
    key = f"{SLOT}cascade.requested"
    about = f"{scheduler.request.key}/{scheduler.request.about(explanation.method)}"
    state = st.session_state
    if state.get(key) != about:
        st.button(
            "The cascade step by step", icon=":material/layers:", key=f"{SLOT}cascade.ask",
            on_click=here(state.__setitem__), args=(key, about),
            help="Weights are drawn anew from the top down, in eight steps at most, and the map is made again after each.",
        )  # fmt: skip
        return
    request = scheduler.request
    result_key = ("cascade", request.picture.identity, request.fit, request.about(explanation.method))
    work = partial(compute_cascade, explanation, picture=request.picture)
    result = computations.compute_or_status(f"{SLOT}cascade", result_key, [request.model], work, lane=Lane.HEAVY)
    if result is not None:
        tiles = [(f"Down to {title}", f"similarity {decimal(value)}", values, None) for title, value, values in result.rows]
        top = "the classifier" if result.headed else "the last layer"
        st.caption(f"New weights from {top} down to the layer named, drawn once; how alike each map is to that of the model as it is.")
        _draw_tiles(tiles, answer, view, signed=explanation.signed)


def check_note(check: Check) -> str:
    """What stands under the map of a check: one of the maps that were made, where its number is the mean over all of them."""
    if check.runs == 1:
        return f"similarity {decimal(check.similarity)}"
    what, which = (
        (f"{check.runs} classes", "one of their maps") if check.name == "class" else (f"{check.runs} draws", "the first one's map")
    )
    return f"mean similarity {decimal(check.similarity)} over {what}; {which}"


def _draw_tiles(
    tiles: Sequence[tuple[str, str, np.ndarray, bool | None]], answer: ModelAnswer, view: View, *, signed: bool, per_row: int = 4
) -> None:
    sign = {True: ":green[:material/check:] ", False: ":red[:material/close:] ", None: ""}
    for first in range(0, len(tiles), per_row):
        for place, (title, note, values, passed) in zip(st.columns(per_row, gap="small"), tiles[first : first + per_row], strict=False):
            place.image(_png(picture_of(values, answer, view.grid, signed=signed)), width="stretch", output_format="PNG")
            place.caption(f"{sign[passed]}**{formatting.plain(title)}**" + (f"  \n{note}" if note else ""))


def _draw_stability(scheduler: MethodScheduler, explanation: Explanation, answer: ModelAnswer) -> None:
    st.subheader("What of it stays under noise", anchor=False)
    if explanation.input_map.max() == explanation.input_map.min():
        st.caption("The map is the same everywhere: it has no highest places that noise could move.")
        return
    method, request, state = METHODS[explanation.method], scheduler.request, st.session_state
    key, about = f"{SLOT}stability.requested", f"{request.key}/{request.about(method.name)}"
    if (method.passes >= computations.HEAVY_PASSES or not scheduler.prove) and state.get(key) != about:
        pictures = attribution_words.pictures_for(explanation, 12)
        about_pictures = f": {pictures} go through the model" if pictures else ""
        st.button(
            "Measure it", icon=":material/grain:", key=f"{SLOT}stability.ask", on_click=here(state.__setitem__), args=(key, about),
            help=f"Makes the map again a dozen times{about_pictures}.",
        )  # fmt: skip
        return
    result_key = ("stability", request.picture.identity, request.fit, request.about(method.name))
    work = partial(compute_stability, explanation, picture=request.picture)
    result = computations.compute_or_status(f"{SLOT}stability", result_key, [request.model], work, lane=Lane.HEAVY)
    if result is None:
        return
    from vizlib.figures.attribution_pictures import contours

    bands = result.bands
    left, right = st.columns([2, 3], gap="large", vertical_alignment="center")
    left.image(_png(contours(answer.photo, bands.steady)), width="stretch", output_format="PNG")
    right.markdown(
        f"The highest places with and without noise have **{percent(bands.overlap)}** of the area that they cover together in common. "
        "Lines enclose what is among the highest places in at least 90\u00a0% (white), 50\u00a0% (yellow) and 10\u00a0% (blue) of the "
        "runs: where the three lie close together, the map is firm."
    )
    right.caption(f"**Exactly:** {formatting.plain(bands.definition)}")


def _png(picture: np.ndarray) -> bytes:
    from vizlib.figures.overlay import encode_png

    return encode_png(picture)
