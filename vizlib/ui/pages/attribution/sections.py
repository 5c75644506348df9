"""The upper half of the page of attributions: what is asked, the wall of maps with their badges, and how alike the maps are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.ui.components.map_grid import map_grid
from vizlib.ui.core import computations, formatting, job_slots
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.url_state import number, one_of, resend, some_of
from vizlib.ui.core.user_model_card import UserModelCard
from vizlib.ui.pages.attribution import map_grid_data
from vizlib.ui.pages.attribution import text as attribution_words
from vizlib.ui.pages.attribution.scheduler import SLOT, ExplainRequest, MethodScheduler
from vizlib.ui.widgets import user_model_form
from vizlib.ui.widgets.method_options import OWN, read_options
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from vizlib import Explanation, ModelCard
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.computations import ModelChoice
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.attribution.scheduler import Goal, ModelAnswer
    from vizlib.ui.widgets.method_options import MethodChoice

TICK = 0.5  # seconds between two looks at work that is under way
_CLICK = 44  # pixels around the middle of a cell that take a click: cells are wide on a wide page
_PAIR = 300  # pixels of the longer side of two maps side by side


@dataclass(frozen=True)
class View:
    """The keys of what is chosen below, declared before there is anything to show, so that a link keeps them."""

    wall: dict[str, Any]
    take: Callable[[], None]
    target: str
    minus: str
    depth: str
    pair: str

    @classmethod
    def of_address(cls, url_state: UrlState, names: list[str]) -> View:
        """Every part of the page's address that is read once there is an answer; the first of the methods is the one looked at closer."""
        wall, take = component_state(url_state, "attribution.wall", {"scale": map_grid_data.SCALES}, {"opacity": (0.6, number(0, 1))})
        view = cls(
            wall,
            take,
            url_state.declare("target", OWN, int),
            url_state.declare("minus", OWN, int),
            url_state.declare("depth", names[0] if names else "", one_of(tuple(METHODS))),
            url_state.declare("pair", "", _pair_text),
        )
        if st.session_state[view.depth] not in names:
            st.session_state[view.depth] = names[0] if names else ""
        return view


def pick_model(url_state: UrlState) -> ModelChoice:
    """One model: bundled, published, or of the visitor's own."""
    known = all_cards()
    bundled = [name for name, card in known.items() if card.source == "bundled"]
    fresh, mine = user_model_form.finish_opening(), user_model_form.opened_models()
    cards: dict[str, ModelCard] = mine | known
    key = url_state.declare("model", bundled[0], one_of(tuple(cards)), lambda name: name if name in known else None)
    state = st.session_state
    if fresh or state[key] not in cards:
        state[key] = fresh or bundled[0]

    def word(name: str) -> str:
        if name in mine:
            return f"{mine[name].title} · yours"
        return name if name in bundled else f"{name} · {formatting.megabytes(cards[name])}"

    name = st.selectbox(
        "Model", [*bundled, *mine, *(name for name in known if name not in bundled)], key=resend(key), format_func=word,
        help="The first ones are built in and work offline. The weights of the others are fetched once, when you say so.",
    )  # fmt: skip
    user_model_form.draw_user_models()
    return computations.ModelChoice(name, card=cards[name])


def card_of(subject: ModelChoice) -> ModelCard:
    """The card of the model; ``pick_model`` gives every one of its subjects one."""
    assert subject.card is not None  # noqa: S101
    return subject.card


def wait_for_answer(subject: ModelChoice, job: Job[ModelAnswer] | None) -> ModelAnswer | None:
    """What the model answers, once it is there; until then, why not."""
    job_slots.wait_for([job])
    return computations.result_or_status(f"{SLOT}answer", subject, job)


def pick_goal(view: View, answered: ModelAnswer) -> tuple[Goal, Goal]:
    """The class that is explained, or the difference of two: as it is asked, None being the model's own answer, and as it is settled."""
    target_key, minus_key = view.target, view.minus
    rows = sorted(answered.ranking, key=lambda row: row.label.lower())
    if not rows:
        st.info(
            "This model has no classes: it gives features, not answers. Methods that need a class do not fit it.", icon=":material/info:"
        )
        return None, None
    alike = Counter(row.label for row in rows)
    labels = {row.index: row.label if alike[row.label] == 1 else f"{row.label} ({row.index})" for row in rows}
    first = answered.ranking[0]
    state = st.session_state
    for key in (target_key, minus_key):
        if state[key] not in labels:
            state[key] = OWN
    chances = {row.index: formatting.percent(row.probability) for row in rows}
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
    settled = first.index if target == OWN else target
    if minus == OWN:
        return (None if target == OWN else target), settled
    if minus == settled:
        right.caption("That is the same class: the class itself is explained.")
        return (None if target == OWN else target), settled
    return (settled, minus), (settled, minus)


def pick_methods(url_state: UrlState, subject: ModelChoice) -> dict[str, MethodChoice]:
    """The methods on the wall, at first twelve that fit, with their options."""
    card = card_of(subject)
    fitting = attribution_words.in_order(card.methods)
    linked = not isinstance(card, UserModelCard)
    key = url_state.declare(
        f"{card.name}.methods", fitting[: attribution_words.FIRST], some_of(tuple(fitting), len(fitting)), ",".join, linked=linked
    )
    state = st.session_state
    state[key] = [name for name in state[key] if name in fitting]
    chosen = st.pills(
        "Methods", fitting, key=key, selection_mode="multi", format_func=lambda name: METHODS[name].title,
        help="The first ones read attention and gradients and are quick; the last ones ask the model hundreds of times.",
    )  # fmt: skip
    questions = {name: read_options(card, METHODS[name], url_state) for name in fitting}
    return {name: question for name, question in questions.items() if name in chosen}


def pick_proof(subject: ModelChoice) -> bool:
    """Whether the maps are to be measured: by themselves with the small bundled models, else when the visitor says so."""
    if subject.card is not None and subject.card.source == "bundled":
        return True
    key = f"{SLOT}prove.{subject.identity}"
    if st.session_state.get(key):
        return True
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Measure how far the maps can be trusted", icon=":material/verified:", key=f"{SLOT}prove.ask",
            on_click=st.session_state.__setitem__, args=(key, True),
        )  # fmt: skip
        st.caption("That sends some thousand pictures through the model: seconds for a small one, many minutes for a large one.")
    return False


def scheduler_for(asking: ExplainRequest, names: list[str], first: str, *, prove: bool) -> MethodScheduler:
    """This visitor's board; a new question replaces the one before it, and stops what that had under way."""
    state, slot = st.session_state, f"{SLOT}board"
    known: MethodScheduler | None = state.get(slot)
    if known is None or known.asking.key != asking.key:
        if known is not None:
            known.stop()
        known = state[slot] = MethodScheduler(asking, names, first, prove=prove)
    known.take(asking, names, first, prove=prove)
    known.advance()
    return known


def draw_map_grid(board: MethodScheduler, answered: ModelAnswer, view: View, depth: str) -> None:
    """The maps and their badges; looked at again while more is to come."""
    drawn = stage_of(board, depth)

    @st.fragment(run_every=TICK if board.busy else None)
    def wall() -> None:
        _map_grid(board, answered, view, depth, drawn)

    wall()


def draw_scale_words(subject: ModelChoice) -> None:
    """What the colours and the badges mean, and which methods do not fit the model, with the reason."""
    st.caption(
        "**Colours:** methods measure in different units, so each map is divided by the mean size of its own values; what they then have "
        "in common is how concentrated they are. *From zero* ends at each map's own 99\u00a0% quantile, *one for all* at the largest of "
        "them. Methods that tell evidence for from evidence against are red and blue around zero. The picture is drawn as the model gets "
        "it. **Badges** are of this map, this model and this picture: faithfulness against random smooth maps and a Gaussian in the "
        "middle, and whether the map changes when the model does. Click a badge for every number."
    )
    unfit = card_of(subject).unavailable
    if unfit:
        title = f"{len(unfit)} {'method does' if len(unfit) == 1 else 'methods do'} not fit this model, and why"
        with st.expander(title, icon=":material/block:"):
            st.markdown("\n".join(f"- **{METHODS[name].title}**: {formatting.plain(why)}." for name, why in unfit.items()))


def stage_of(board: MethodScheduler, depth: str) -> tuple[Any, ...]:
    """What the rest of the page is drawn from: it is drawn again when this changes, not with every badge."""
    standings = board.standings()
    one = board.standing(depth) if depth else None
    closer = (one.settled, one.explanation is None, one.coarse, one.proven) if one is not None else ()
    return (all(each.settled for each in standings), board.busy, board.stopped, closer)


def _map_grid(board: MethodScheduler, answered: ModelAnswer, view: View, depth: str, drawn: tuple[Any, ...]) -> None:
    state = st.session_state
    if state.get(f"{SLOT}board") is not board:
        return
    board.advance()
    held_ = state.setdefault(f"{SLOT}wall.held", {"token": None, "told": None, "given": None, "message": b""})
    if view.wall != held_["told"]:
        held_["given"] = held_["told"] = dict(view.wall)
    standings = board.standings()
    token = (
        id(board), id(answered), depth, board.stopped, board.busy, held_["given"], board.maps_after, board.proofs_after, board.prove,
        [(one.name, id(one.explanation), one.coarse, one.refusal, id(one.proof), one.proof_refusal) for one in standings],
    )  # fmt: skip
    if token != held_["token"]:
        held_ |= {"token": token, "message": map_grid_data.pack_map_grid(board, answered, held_["given"], depth)}

    def take_view() -> None:
        view.take()
        held_["told"] = {name: state[f"attribution.{name}"] for name in view.wall}
        state[f"{SLOT}wall.acted"] = True  # the address and the pictures below follow

    def act() -> None:
        asked = state[f"{SLOT}wall"].act
        if asked == "stop":
            board.stop()
        elif asked == "on":
            board.go_on()
        elif asked in METHODS:
            state[view.depth] = asked
        state[f"{SLOT}wall.acted"] = asked is not None

    map_grid(held_["message"], key=f"{SLOT}wall", on_view=take_view, on_act=act)
    if state.pop(f"{SLOT}wall.acted", False) or stage_of(board, depth) != drawn:
        st.rerun()


def draw_agreement(board: MethodScheduler, view: View) -> None:
    """How alike the maps are, two by two; a click on a cell shows its two maps on one grid."""
    from vizlib.evaluation.rank_agreement import agreement, common_grid
    from vizlib.figures.attribution_charts import agreement_map
    from vizlib.figures.charts import CONFIG
    from vizlib.figures.comparison_charts import clickable

    made = {one.name: one.explanation for one in board.standings() if one.explanation is not None and one.settled}
    st.header("Do they agree?", anchor=False)
    if len(made) < 2:
        st.info("Two maps or more can be compared: choose another method above.", icon=":material/touch_app:")
        return
    st.markdown(
        "Each number says how alike two methods order the pixels of this picture: 1 is the same order, 0 none in common, -1 the reverse. "
        "Look for blocks: methods of one kind agree with each other, and that alone proves nothing."
    )
    grids = common_grid(list(made.values()))
    values = agreement(grids)
    names = list(made)
    titles = [METHODS[name].title for name in names]
    row, column = _pair(st.session_state[view.pair], names, values)
    key = f"{SLOT}agreement"
    figure = clickable(agreement_map(values, titles), (row, column))
    figure.data[1].marker.size = _CLICK
    st.plotly_chart(
        figure, key=key, config=CONFIG, selection_mode="points",
        on_select=partial(_take_pair, view, key, names), alt="Rank correlation of every two maps",
    )  # fmt: skip
    _draw_pair(grids[row], grids[column], titles[row], titles[column], float(values[row, column]))
    st.caption(
        "**Exactly:** Spearman's rank correlation over the picture's pixels on one grid of at most 64 cells a side, equal values sharing "
        "their mean rank; signed maps by their sign. A map that is the same everywhere has none. The difference is of the ranks, from 0 "
        "(lowest) to 1 (highest)."
    )


def _draw_pair(first: np.ndarray, second: np.ndarray, title: str, other: str, value: float) -> None:
    from vizlib.figures.attribution_pictures import rank_pair
    from vizlib.figures.overlay import encode_png

    apart = f"red: higher in {title}; blue: higher in {other}; rank correlation {value:.2f}"
    pictures, captions = rank_pair(first, second, _PAIR), (f"{title}: ranks", f"{other}: ranks", apart)
    for place, picture, caption in zip(st.columns(3, gap="medium"), pictures, captions, strict=True):
        place.image(encode_png(picture), caption, width="stretch", output_format="PNG")


def _pair(text: str, names: list[str], values: np.ndarray) -> tuple[int, int]:
    """The chosen cell; where none is, the two methods that disagree most."""
    import numpy as np

    chosen = text.split("~") if text else []
    if len(chosen) == 2 and all(name in names for name in chosen):
        return names.index(chosen[0]), names.index(chosen[1])
    known = np.where(np.isfinite(values), values, 1.0)
    row, column = divmod(int(known.argmin()), len(names))
    return row, column


def _take_pair(view: View, key: str, names: list[str]) -> None:
    points = st.session_state[key].selection.points
    if points:
        st.session_state[view.pair] = f"{names[round(points[0]['y'])]}~{names[round(points[0]['x'])]}"


def _pair_text(text: str) -> str:
    if text and not all(name in METHODS for name in text.split("~")):
        raise ValueError(text)
    return text


def explained(board: MethodScheduler, name: str) -> Explanation | None:
    """The full map of a method, once it is there."""
    one = board.standing(name)
    return one.explanation if one.settled else None
