"""The page Learn: one step at a time, asked before it is shown, and the handout at the end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.ui.components.patch_choice import patch_choice
from vizlib.ui.core import computations
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.formatting import linked, plain
from vizlib.ui.core.model_choice import model_choice
from vizlib.ui.core.pictures import SAMPLES
from vizlib.ui.core.user_model_store import user_model_store
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.learn.figures import draw_figure, pack_question
from vizlib.ui.pages.learn.handout import handout_html
from vizlib.ui.pages.learn.lesson_work import compute_finding, compute_sentence
from vizlib.ui.pages.learn.progress import LAST, keep_to_picture, progress_keys
from vizlib.ui.pages.learn.steps import CLICK, SLIDE, STEPS
from vizlib.ui.widgets.downloads import download_button, file_stem
from vizlib.ui.widgets.picture_picker import pick_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.analysis.lesson.outcome import Outcome
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.learn.lesson_work import Finding
    from vizlib.ui.pages.learn.progress import ProgressKeys
    from vizlib.ui.pages.learn.steps import Step

OWN_MODEL = (
    "The lesson keeps to its built-in models, because every step's question and answers are about them; a model of your own opens on "
    "Explore, Attention and Compare."
)


def draw_page(url_state: UrlState) -> None:
    """The picture, where the learner is, and the step."""
    keys = progress_keys(url_state)
    state = st.session_state
    number = state[keys.step]
    where = st.container()
    with st.expander("The picture that the lesson is about", icon=":material/image:", expanded=number == 1, key="controls-learn"):
        picture = pick_picture(url_state, "coffee")  # which its models know
    if user_model_store().cards or st.session_state[url_state.declare("models", "")]:
        st.caption(OWN_MODEL)
    keep_to_picture(picture.identity, keys)
    with where:
        _draw_where(number, keys)
    if number == LAST:
        _draw_handout(picture, keys)
    else:
        _draw_step(STEPS[number - 1], number, picture, keys)
    _draw_turn(number, keys)


def _draw_where(number: int, keys: ProgressKeys) -> None:
    """A mark for each step: where one is, what is answered."""
    answers = st.session_state[keys.answers]
    done = sum(answer is not None for answer in answers)
    name = "Handout" if number == LAST else f"Step {number} of {len(STEPS)}"
    st.progress((min(number, len(STEPS))) / len(STEPS), text=f"**{name}** · {done} of {len(STEPS)} predicted")


def _draw_turn(number: int, keys: ProgressKeys) -> None:
    state = st.session_state

    def go_to(step: int) -> None:
        state[keys.step] = step

    with st.container(horizontal=True):
        st.button("Back", key="learn.back", icon=":material/arrow_back:", on_click=here(go_to), args=(number - 1,), disabled=number == 1)
        if number < LAST:
            last = number == len(STEPS)
            answered = state[keys.answers][number - 1] is not None
            st.button(
                "To the handout" if last else "Next step", key="learn.next", icon=":material/arrow_forward:", on_click=here(go_to),
                args=(number + 1,), type="primary" if answered else "secondary",
            )  # fmt: skip


def _draw_step(step: Step, number: int, picture: Picture, keys: ProgressKeys) -> None:
    st.header(f"{number}. {step.title}", anchor=False)
    draw_text(step.look)
    finding = finding_or_status(step, picture)
    if finding is None:
        return
    outcome = finding.outcome
    answer = st.session_state[keys.answers][number - 1]
    if answer is not None and answer >= len(outcome.options):
        answer = None
    st.markdown(f"**Predict.** {step.question}")
    if answer is None:
        _ask(step, number, finding, picture, keys)
    else:
        _show(step, finding, answer, number, picture, keys)


def finding_or_status(step: Step, picture: Picture, slot: str = "learn.step") -> Finding | None:
    """What the library finds for a step, once it is there; until then, why not."""
    if not step.of_picture:
        return computations.compute_or_status(slot, ("learn", step.name), (), partial(compute_sentence, step.name))
    models = [model_choice(name) for name in step.models]
    key = ("learn", step.name, picture.identity)
    return computations.compute_or_status(slot, key, models, partial(compute_finding, step.name, picture))


def _ask(step: Step, number: int, finding: Finding, picture: Picture, keys: ProgressKeys) -> None:
    state, outcome = st.session_state, finding.outcome
    key = f"learn.guess.{step.name}"
    places = range(len(outcome.options))
    if step.kind == CLICK:
        guess = _ask_for_patch(finding, picture)
    elif step.kind == SLIDE:
        guess = st.select_slider(
            "Your prediction", list(places), key=key, value=len(places) // 2, format_func=outcome.options.__getitem__, width=560
        )
    else:
        guess = st.radio("Your prediction", list(places), key=key, index=None, format_func=outcome.options.__getitem__)

    def take() -> None:
        if guess is not None:
            before = state[keys.answers]
            state[keys.answers] = (*before[: number - 1], int(guess), *before[number:])

    st.button(
        "Show what happens", key="learn.show", icon=":material/visibility:", on_click=here(take), type="primary", disabled=guess is None
    )


def _ask_for_patch(finding: Finding, picture: Picture) -> int | None:
    state, key = st.session_state, f"learn.patch.{picture.identity[:12]}"
    chosen = f"{key}.chosen"

    def take() -> None:
        cell = state[key].cell
        if isinstance(cell, int) and 0 <= cell < len(finding.outcome.options):
            state[chosen] = cell

    guess = state.get(chosen)
    patch_choice(pack_question(finding, picture.title, -1 if guess is None else guess), key=key, on_cell=here(take))
    return guess if guess is None else int(guess)


def more_address(step: Step, picture: Picture) -> dict[str, str]:
    """What the address of the page that goes on from a step says; it opens on the lesson's sample, as it does on an upload by itself."""
    name = picture.identity.removeprefix("sample:")
    return step.more[2] | ({"sample": name} if step.of_picture and name in SAMPLES else {})


def badge(outcome: Outcome, answer: int) -> str:
    """Whether it came out as predicted, as a mark."""
    if outcome.all_right:
        return ":gray-badge[:material/remove: cannot be told]"
    return ":green-badge[:material/check: as you said]" if answer in outcome.right else ":orange-badge[:material/close: not as you said]"


def _show(step: Step, finding: Finding, answer: int, number: int, picture: Picture, keys: ProgressKeys) -> None:
    state, outcome = st.session_state, finding.outcome
    st.markdown(f"{badge(outcome, answer)} {plain(step.far(outcome, answer))}")
    left, beside = st.columns([3, 2], gap="large")
    with left:
        draw_figure(step, finding, answer)
    with beside:
        st.markdown(f"**What happened.** {plain(step.happened(outcome))}")
        draw_text(f"**Why.** {step.explained(outcome)}")
        st.markdown(f":gray[{linked(step.paper)}]")
        page, label, _ = step.more
        st.page_link(f"pages/{page}.py", label=label, icon=":material/open_in_new:", query_params=more_address(step, picture))

    def again() -> None:
        before = state[keys.answers]
        state[keys.answers] = (*before[: number - 1], None, *before[number:])

    st.button("Predict again", key="learn.again", icon=":material/replay:", on_click=here(again), type="tertiary")


def tally_words(outcomes: Sequence[Outcome], answers: Sequence[int | None]) -> str:
    """How many steps were predicted, and of how many it came out so."""
    given = [
        (outcome, answer) for outcome, answer in zip(outcomes, answers, strict=True) if answer is not None and answer < len(outcome.options)
    ]
    if not given:
        return f"You predicted none of {len(outcomes)}."
    right = sum(answer in outcome.right and not outcome.all_right for outcome, answer in given)
    untold = sum(outcome.all_right for outcome, _ in given)
    text = f"You predicted {len(given)} of {len(outcomes)}, and **{right}** came out as you said."
    return text + (f" Of {untold} it cannot be told: no answer was wrong." if untold else "")


def _draw_handout(picture: Picture, keys: ProgressKeys) -> None:
    """All outcomes, how many were foreseen, and the sheet to print."""
    st.header("The lesson on one sheet", anchor=False)
    st.markdown("One page of questions, two about a written date and eight about this picture, and their answers on a second: for a class.")
    findings = [finding_or_status(step, picture, f"learn.handout.{step.name}") for step in STEPS]
    found = [finding for finding in findings if finding is not None]
    if len(found) < len(STEPS):
        return
    known = [finding.outcome for finding in found]
    answers = st.session_state[keys.answers]
    st.markdown(tally_words(known, answers))
    photo = next(finding.photo for step, finding in zip(STEPS, found, strict=True) if step.kind == CLICK)
    download_button(
        f"{file_stem(picture, 'lesson')}.html", partial(handout_html, known, photo, picture.title), key="learn.handout",
        label="Handout, two pages A4", hint="Open it and print: questions on the first page, answers on the second.",
    )  # fmt: skip
    for number, (step, outcome, answer) in enumerate(zip(STEPS, known, answers, strict=True), 1):
        said = "not predicted" if answer is None or answer >= len(outcome.options) else step.far(outcome, answer)
        st.markdown(f"{number}. **{step.title}** {plain(said)}")
