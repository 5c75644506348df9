"""The upper half of the page of attributions: what is asked, the grid of maps with their badges, and how alike the maps are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.figures.numbers import decimal, percent
from vizlib.ui.components.map_grid import map_grid
from vizlib.ui.core import computations, formatting, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.contents import heading
from vizlib.ui.core.looks import drawn_every
from vizlib.ui.core.url_state import resend, some_of
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.attribution import downloads, exam, map_grid_data, method_detail, region
from vizlib.ui.pages.attribution import text as attribution_words
from vizlib.ui.pages.attribution.scheduler import SLOT, ExplainRequest, MethodScheduler, submit_answer
from vizlib.ui.pages.attribution.view import View
from vizlib.ui.sections.trust import measured_unasked
from vizlib.ui.widgets.explanation import class_labels
from vizlib.ui.widgets.method_options import OWN, read_options

if TYPE_CHECKING:
    import numpy as np

    from vizlib import ModelCard
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.attribution.map_work import Goal, ModelAnswer
    from vizlib.ui.widgets.method_options import MethodChoice

TICK = 0.5  # seconds between two looks at work that is under way
_CLICK = 44  # pixels around the middle of a cell that take a click: cells are wide on a wide page
_RANKS = "ranks, dark 0 (lowest) to yellow 1 (highest)"
_PAIR = 300  # pixels of the longer side of two maps side by side, of four in a row
_TALLEST = 400  # pixels of the height of one of them


def draw_page(url_state: UrlState, picture: Picture, model: ModelChoice, fit: str | None) -> None:
    """What the model is asked, and every section as far as its numbers are there."""
    asked = st.container()
    choices = pick_methods(url_state, model)
    view = View.of_address(url_state, list(choices))
    job = submit_answer(model, picture, fit)
    with asked:
        answer = wait_for_answer(model, job)
    if answer is None:
        return
    with asked:
        goal, resolved = pick_goal(view, answer)
    closer = st.session_state[view.depth]
    request = ExplainRequest(model, picture, fit, resolved, {name: choice.options for name, choice in choices.items()})
    scheduler = None
    if choices:
        scheduler = scheduler_for(request, list(choices), closer, prove=pick_proof(request, answer, list(choices)))
        draw_map_grid(scheduler, answer, view, closer)
        draw_scale_words(model)
        draw_agreement(scheduler, picture, view)
        method_detail.draw_method_detail(scheduler, answer, view, choices)
    else:
        st.info("Choose a method above.", icon=":material/touch_app:")
    region.draw_region(request, answer, st.session_state.get(f"{SLOT}scheduler"))
    exam.draw_exam(model, picture, choices)
    if scheduler is not None:
        downloads.draw_files(scheduler, answer, view, goal, choices)


def card_of(model: ModelChoice) -> ModelCard:
    """The card of the model, which every one has that this page offers."""
    assert model.card is not None  # noqa: S101
    return model.card


def wait_for_answer(model: ModelChoice, job: Job[ModelAnswer] | None) -> ModelAnswer | None:
    """What the model answers, once it is there; until then, why not."""
    job_slots.wait_for([job])
    return computations.result_or_status(f"{SLOT}answer", job, [model])


def pick_goal(view: View, answer: ModelAnswer) -> tuple[Goal, Goal]:
    """The class that is explained, or the difference of two: as it is asked, None being the model's own answer, and as it is resolved."""
    target_key, minus_key = view.target, view.minus
    labels = class_labels(answer.ranking)
    if not labels:
        st.info(
            "This model has no classes: it gives features, not answers. Methods that need a class do not fit it.", icon=":material/info:"
        )
        return None, None
    first = answer.ranking[0]
    state = st.session_state
    for key in (target_key, minus_key):
        if state[key] not in labels:
            state[key] = OWN
    chances = {row.index: percent(row.probability) for row in answer.ranking}
    left, right = st.columns(2, gap="medium")
    target = left.selectbox(
        "Why", [OWN, *labels], key=resend(target_key), help="Type to search all classes of this model.",
        format_func=lambda index: (
            f"its answer: {first.label}, {chances[first.index]}" if index == OWN else f"{labels[index]}, {chances[index]}"
        ),
    )  # fmt: skip
    minus = right.selectbox(
        "and not", [OWN, *labels], key=resend(minus_key), format_func=lambda index: "no other class" if index == OWN else labels[index],
        help="With a second class the difference of the two scores is explained: what speaks for the one rather than the other.",
    )  # fmt: skip
    resolved = first.index if target == OWN else target
    if minus == OWN:
        return (None if target == OWN else target), resolved
    if minus == resolved:
        right.caption("That is the same class: the class itself is explained.")
        return (None if target == OWN else target), resolved
    right.caption(
        f"The score is the logit of {formatting.plain(labels[resolved])} less that of {formatting.plain(labels[minus])}; where a "
        "probability is told below, it is that of the first as if there were only these two."
    )
    return (resolved, minus), (resolved, minus)


def pick_methods(url_state: UrlState, model: ModelChoice) -> dict[str, MethodChoice]:
    """The methods on the grid, at first twelve that fit, with their options."""
    card = card_of(model)
    fitting = attribution_words.in_order(card.methods)
    key = url_state.declare(
        f"{card.name}.methods", fitting[: attribution_words.FIRST], some_of(tuple(fitting), len(fitting)), ",".join, linked=not model.own
    )
    state = st.session_state
    state[key] = [name for name in state[key] if name in fitting]
    with st.expander(f"{len(state[key])} of {len(fitting)} methods", icon=":material/checklist:", key="controls-methods"):
        chosen = st.pills(
            "Methods", fitting, key=resend(key), selection_mode="multi", format_func=lambda name: METHODS[name].title,
            help=attribution_words.cost_words(fitting), wrap=True,
        )  # fmt: skip
    choices = {name: read_options(model, METHODS[name], url_state) for name in fitting}
    return {name: choice for name, choice in choices.items() if name in chosen}


def pick_proof(request: ExplainRequest, answer: ModelAnswer, names: list[str]) -> bool:
    """Whether the maps are to be measured: by the rule of all pages for what nobody asked for, else when the visitor says so."""
    model = request.model
    key = f"{SLOT}prove.{model.identity}"
    begun: MethodScheduler | None = st.session_state.get(f"{SLOT}scheduler")
    if begun is not None and begun.prove and (begun.request.key, begun.names) == (request.key, names):
        return True  # who came meanwhile does not stop it
    height, width = answer.geometry.input_size
    if st.session_state.get(key) or measured_unasked(model, height * width, names, sought=True):
        return True
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Measure how far the maps can be trusted", icon=":material/verified:", key=f"{SLOT}prove.ask",
            on_click=here(st.session_state.__setitem__), args=(key, True),
        )  # fmt: skip
        st.caption("That sends some thousand pictures through the model: seconds for a small one, many minutes for a large one.")
    return False


def scheduler_for(request: ExplainRequest, names: list[str], first: str, *, prove: bool) -> MethodScheduler:
    """This visitor's scheduler; a new question replaces the one before it, and stops what that had under way."""
    state, slot = st.session_state, f"{SLOT}scheduler"
    scheduler: MethodScheduler | None = state.get(slot)
    if scheduler is None or scheduler.request.key != request.key:
        if scheduler is not None:
            scheduler.stop()
        scheduler = state[slot] = MethodScheduler(request, names, first, prove=prove)
    scheduler.take(request, names, first, prove=prove)
    scheduler.advance()
    return scheduler


def draw_map_grid(scheduler: MethodScheduler, answer: ModelAnswer, view: View, depth: str) -> None:
    """The maps and their badges; looked at again while more is to come."""
    drawn = stage_of(scheduler, depth)

    beat = job_slots.in_a_crowd(TICK) if scheduler.busy else None
    drawn_every(_map_grid, beat)(scheduler, answer, view, depth, drawn)


def draw_scale_words(model: ModelChoice) -> None:
    """What the colours and the badges mean, and which methods do not fit the model, with the reason."""
    st.caption(
        "**Colours:** methods measure in different units, so each map is divided by the mean size of its own values; what they then have "
        "in common is how concentrated they are. *From zero* ends at each map's own 99\u00a0% quantile (without a sign at twice its "
        "mean at least), *one for all* at the largest of them. Methods that tell evidence for from evidence against are red and blue "
        "around zero. The picture is drawn as the model gets it. **Badges** are of this map, this model and this picture: faithfulness "
        "against random smooth maps and a Gaussian in the middle, and whether the map changes when the model does. Click a badge "
        "for every number."
    )
    unfit = card_of(model).unavailable
    if unfit:
        title = f"{len(unfit)} {'method does' if len(unfit) == 1 else 'methods do'} not fit this model, and why"
        with st.expander(title, icon=":material/block:"):
            st.markdown("\n".join(f"- **{METHODS[name].title}**: {formatting.plain(why)}." for name, why in unfit.items()))


def stage_of(scheduler: MethodScheduler, depth: str) -> tuple[Any, ...]:
    """What the rest of the page is drawn from: it is drawn again when this changes, not with every badge."""
    state = scheduler.state_of(depth) if depth else None
    closer = (state.settled, state.explanation is None, state.coarse, state.proven) if state is not None else ()
    return (all(each.settled for each in scheduler.states()), scheduler.busy, scheduler.stopped, closer)


def _map_grid(scheduler: MethodScheduler, answer: ModelAnswer, view: View, depth: str, drawn: tuple[Any, ...]) -> None:
    state = st.session_state
    if state.get(f"{SLOT}scheduler") is not scheduler:
        return
    scheduler.advance()
    sent = state.setdefault(f"{SLOT}grid.sent", {"token": None, "received": None, "given": None, "heard": 0, "message": b""})
    if view.grid != sent["received"]:
        sent["given"] = sent["received"] = dict(view.grid)
    token = (
        id(scheduler), id(answer), depth, scheduler.stopped, scheduler.busy, sent["given"], sent["heard"],
        scheduler.maps_after, scheduler.proofs_after, scheduler.prove,
        [(each.name, id(each.explanation), each.coarse, each.refusal, id(each.proof), each.proof_refusal) for each in scheduler.states()],
    )  # fmt: skip
    if token != sent["token"]:
        sent |= {"token": token, "message": map_grid_data.pack_map_grid(scheduler, answer, sent["given"], depth, sent["heard"])}

    def take_view() -> None:
        view.take()
        sent["received"] = {name: state[f"attribution.{name}"] for name in view.grid}
        state[f"{SLOT}grid.acted"] = True  # the address and the pictures below follow

    def act() -> None:
        number, action, _ = state[f"{SLOT}grid"].act or (0, None, 0)
        if number == sent["heard"]:
            return  # told again
        sent["heard"] = number
        if action == "stop":
            scheduler.stop()
        elif action == "on":
            scheduler.go_on()
        elif action in METHODS:
            state[view.depth] = action
        state[f"{SLOT}grid.acted"] = True

    map_grid(sent["message"], key=f"{SLOT}grid", on_view=here(take_view), on_act=here(act))
    if state.pop(f"{SLOT}grid.acted", False) or stage_of(scheduler, depth) != drawn:
        st.rerun()


def draw_agreement(scheduler: MethodScheduler, picture: Picture, view: View) -> None:
    """How alike the maps are, two by two; a click on a cell shows its two maps on one grid."""
    from vizlib.evaluation.rank_agreement import agreement, common_grid
    from vizlib.figures.attribution_charts import agreement_map
    from vizlib.figures.charts import CONFIG
    from vizlib.figures.comparison_charts import clickable

    explanations = {each.name: each.explanation for each in scheduler.states() if each.explanation is not None and each.settled}
    heading("Do they agree?")
    if len(explanations) < 2 and len(explanations) + sum(not each.settled for each in scheduler.states()) > 1:
        st.info("Maps are compared as soon as there are two of them.", icon=":material/hourglass_top:")
        return
    if len(explanations) < 2:
        st.info("Two maps or more can be compared: choose another method above.", icon=":material/touch_app:")
        return
    draw_text(
        "Each number says how alike two methods order the pixels of this picture: 1 is the same order, 0 none, \u22121 the reverse. "
        "Look for blocks: where methods of one kind agree with each other, that alone proves nothing."
    )
    grids = common_grid(list(explanations.values()))
    values = agreement(grids)
    names = list(explanations)
    titles = [METHODS[name].title for name in names]
    row, column = _pair(st.session_state[view.pair], names, values)
    key = f"{SLOT}agreement"
    figure = clickable(agreement_map(values, titles), (row, column))
    figure.data[1].marker.size = _CLICK
    st.plotly_chart(
        figure, key=key, config=CONFIG, selection_mode="points",
        on_select=here(partial(_take_pair, view, key, names)), alt="Rank correlation of every two maps",
    )  # fmt: skip
    _draw_pair(picture.pixels, (grids[row], grids[column]), (titles[row], titles[column]), float(values[row, column]))
    st.caption(
        "**Exactly:** Spearman's rank correlation over the picture's pixels on one grid of at most 64 cells a side, equal values sharing "
        "their mean rank; signed maps by their sign. A map that is the same everywhere has none. The difference is of the ranks, from 0 "
        "(lowest) to 1 (highest)."
    )


def _draw_pair(photo: np.ndarray, maps: tuple[np.ndarray, np.ndarray], titles: tuple[str, str], value: float) -> None:
    """The whole photograph, two maps on it as ranks, and their difference, all four of one shape."""
    import cv2
    import numpy as np

    from vizlib.figures.attribution_pictures import rank_pair
    from vizlib.figures.overlay import encode_png

    title, other = titles
    alike = f"rank correlation {decimal(value)}" if np.isfinite(value) else "no rank correlation, for one of them is the same everywhere"
    apart = (
        f"red: higher in {title}; blue: higher in {other}; white: the same rank; full colour: lowest in one, highest in the other; {alike}"
    )
    per_row, width = pair_layout(*photo.shape[:2])
    drawn = rank_pair(*maps, _PAIR * 4 // per_row)
    pictures = [cv2.resize(photo, drawn[0].shape[1::-1], interpolation=cv2.INTER_AREA), *drawn]
    unseen = "" if all(np.isfinite(each).all() for each in maps) else "; hatched in the maps: not seen by the model"
    captions = (f"The picture{unseen}", f"{title}: {_RANKS}", f"{other}: {_RANKS}", apart)
    places = [place for _ in range(4 // per_row) for place in st.columns(per_row, gap="medium")]
    for place, picture, caption in zip(places, pictures, captions, strict=True):
        place.image(encode_png(picture), width=width, output_format="PNG")
        place.caption(caption)  # an image's own would be as narrow as a tower is


def pair_layout(height: int, width: int) -> tuple[int, int | Literal["stretch"]]:
    """How many of the four pictures of a pair stand in a row, and how wide each is: a panorama's are no strips, a tower's fit a screen."""
    per_row = 4 if width <= 2.5 * height else 2 if width <= 5 * height else 1
    return per_row, "stretch" if height <= 1.5 * width else max(40, round(_TALLEST * width / height))


def _pair(text: str, names: list[str], values: np.ndarray) -> tuple[int, int]:
    """The chosen cell; where none is, the two methods that disagree most."""
    import numpy as np

    chosen = text.split("~") if text else []
    if len(chosen) == 2 and all(name in names for name in chosen):
        return names.index(chosen[0]), names.index(chosen[1])
    finite = np.where(np.isfinite(values), values, 1.0)
    row, column = divmod(int(finite.argmin()), len(names))
    return row, column


def _take_pair(view: View, key: str, names: list[str]) -> None:
    points = st.session_state[key].selection.points
    if points:
        st.session_state[view.pair] = f"{names[round(points[0]['y'])]}~{names[round(points[0]['x'])]}"
