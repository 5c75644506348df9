"""One model's column: its map over the picture, its answers, and what to take away."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.engine.jobs import JobState
from vizlib.ui.components.photo_map import pack, photo_map
from vizlib.ui.components.top_predictions import top_predictions
from vizlib.ui.core import formatting, job_slots
from vizlib.ui.core.model_service import service, visitor
from vizlib.ui.core.user_model_card import UserModelCard
from vizlib.ui.widgets.method_options import OWN, draw_method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import Explanation
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_service import Answer
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.widgets.method_options import MethodChoice
    from vizlib.ui.widgets.pickers import MapStyle

TOP = 5
SLOT = "column."


def submit_explanations(questions: Sequence[MethodChoice], picture: Picture, fit: str | None) -> dict[str, Job[Answer]]:
    """The jobs that answer the questions, by model; models whose weights would have to be fetched first are left out.

    A job that runs for the same question goes on; one for another question is replaced.
    """
    requests = {question.card.name: question.request(picture, fit) for question in questions}
    for slot in [slot for slot in job_slots.slots() if slot.startswith(SLOT) and slot.removeprefix(SLOT) not in requests]:
        job_slots.drop(slot)
    jobs: dict[str, Job[Answer]] = {
        name: job_slots.submit(SLOT + name, request, partial(service().ask, visitor(), request, picture))
        for name, request in requests.items()
        if SLOT + name in job_slots.slots() or job_slots.may_load(request.model)
    }
    job_slots.wait_for(list(jobs.values()))
    return jobs


def common_tops(jobs: dict[str, Job[Answer]]) -> dict[str, float]:
    """The upper end of one scale for all maps, for each unit that there is; in multiples of the unit."""
    tops: dict[str, float] = {}
    for job in jobs.values():
        made = job.result().map if job.state is JobState.DONE else None
        if made is not None:
            tops[made.unit] = max(made.reach, tops.get(made.unit, 0.0))
    return tops


def draw_column(
    question: MethodChoice,
    job: Job[Answer] | None,
    picture: Picture,
    fit: str | None,
    look: MapStyle,
    tops: dict[str, float],
    *,
    narrow: bool = False,
) -> None:
    """Draw one model's column; ``tops`` are the upper ends of the common scales by unit, none where each map has its own."""
    card = question.card
    with st.container(gap="xsmall"):
        st.subheader(formatting.plain(card.title) if isinstance(card, UserModelCard) else card.title, anchor=False)
        st.caption(formatting.facts(card))
    draw_method(question, narrow=narrow)
    answer = _answer_or_status(question, job, picture)
    if answer is None:
        return
    if answer.explanation is None:
        st.info(answer.refusal, icon=":material/block:")
    photo_map(answer.payload, key=f"map.{card.name}")
    if answer.explanation is not None:
        _draw_facts(answer.explanation)
    _draw_answers(question, answer)
    if answer.explanation is not None:
        _draw_takeaways(question, answer, picture, fit, look, tops)


def _answer_or_status(question: MethodChoice, job: Job[Answer] | None, picture: Picture) -> Answer | None:
    """The answer; where there is none, draw the photograph with the reason: not asked for, under way, stopped or failed."""
    name = question.card.name
    if job is None:
        job_slots.offer_download(question.card, "With a checkpoint of your own it works: choose that among the models.")
    else:
        answer = job_slots.result_or_status(SLOT + name, job)
        if answer is not None:
            return answer
    photo_map(pack(picture, None), key=f"map.{name}")
    return None


def _draw_facts(explanation: Explanation) -> None:
    facts = [f"Explained in {formatting.seconds(explanation.seconds)}."]
    if explanation.sink:
        facts.append(
            f"**{formatting.percent(explanation.sink)}** of the walk ends in learned tokens such as the class token, not in the image."
        )
    if "gap" in explanation.facts:
        told = explanation.facts
        facts.append(f"The map adds up to **{told['sum']:.3g}**, where the score changes by {told['change']:.3g} from the baseline.")
    st.markdown(" ".join(facts))
    for note in explanation.notes:
        st.info(note, icon=":material/info:")


def _draw_answers(question: MethodChoice, answer: Answer) -> None:
    if not answer.ranking:
        st.info("This model has no classes: it gives features, not answers. The map needs none.", icon=":material/info:")
        return
    state, key, name = st.session_state, question.target_key, question.card.name
    # A class that the model does not have is refused; another one must then be within reach.
    pickable = question.method.class_specific and (answer.explanation is not None or question.target is not None)
    chosen = answer.explanation.target if pickable and answer.explanation else None
    rows = answer.ranking[:TOP] + [row for row in answer.ranking[TOP:] if row.index == chosen]

    def take() -> None:
        picked = state[f"answers.{name}"].pick
        state[key] = OWN if picked == answer.ranking[0].index else picked

    agnostic = f"{question.method.title} gives the same map for all of them." if not question.method.class_specific else ""
    hint = "Choose the one to explain." if pickable else agnostic if answer.explanation is not None else ""
    st.markdown(f"**Answers.** {hint}")
    top_predictions(rows, chosen if isinstance(chosen, int) else None, pickable=pickable, key=f"answers.{name}", on_pick=take)
    if pickable and answer.explanation is not None:
        labels = _class_words(answer)
        st.selectbox(
            "Class to explain",
            list(labels),
            key=key,
            format_func=lambda index: labels[index],
            help="Type to search all classes of this model.",
        )


def _class_words(answer: Answer) -> dict[int, str]:
    """A text for every class, in the order of the alphabet: each its own and never another one, for the browser answers with it."""
    rows = sorted(answer.ranking, key=lambda row: row.label.lower())
    alike = Counter(row.label for row in rows)
    return {OWN: "The model's own answer"} | {
        row.index: row.label if alike[row.label] == 1 else f"{row.label} ({row.index})" for row in rows
    }


def _draw_takeaways(
    question: MethodChoice, answer: Answer, picture: Picture, fit: str | None, look: MapStyle, tops: dict[str, float]
) -> None:
    explanation, data, name = answer.explanation, answer.map, question.card.name
    if explanation is None or data is None:
        return

    def png() -> bytes:
        from vizlib.figures.overlay import encode_png, overlay, signed_overlay

        if data.unit == "score":
            reach = tops.get(data.unit, data.reach)
            return encode_png(signed_overlay(explanation.image, explanation.map, opacity=look.opacity, reach=reach))
        low = data.lowest * data.one if look.scale == "stretch" else 0.0
        high = tops.get(data.unit, data.peak) * data.one
        return encode_png(overlay(explanation.image, explanation.map, opacity=look.opacity, colormap=look.colormap, low=low, high=high))

    shown = Path(question.card.title).stem if isinstance(question.card, UserModelCard) else name
    stem = f"{Path(picture.title).stem}-{shown}-{explanation.method}".lower().replace(" ", "_")
    with st.container(horizontal=True):
        st.download_button("PNG", png, f"{stem}.png", "image/png", key=f"png.{name}", icon=":material/image:", on_click="ignore")
        st.download_button(
            "NPZ",
            explanation.npz,
            f"{stem}.npz",
            "application/octet-stream",
            key=f"npz.{name}",
            icon=":material/data_array:",
            on_click="ignore",
            help="Arrays for NumPy: the map on the model's input and on the picture, what was seen, the logits.",
        )
    with st.expander("Use it from Python", icon=":material/code:"):
        target = question.target if question.method.class_specific else None
        st.code(
            formatting.snippet(question.card, picture.code, explanation.method, target, fit, question.changed, look.opacity, look.colormap),
            language="python",
            wrap_lines=True,
        )
    with st.expander("The method and the model", icon=":material/menu_book:"):
        st.markdown(
            f"**{question.method.title}.** {question.method.summary} [{question.method.paper}]({question.method.paper_url})\n\n"
            f"{formatting.about(question.card)}"
        )
