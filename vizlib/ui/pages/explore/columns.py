"""The models side by side: each one's map over the picture, its answers, and what to take away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.engine.jobs import JobState
from vizlib.figures.numbers import percent
from vizlib.ui.components.photo_map import pack, photo_map
from vizlib.ui.components.top_predictions import top_predictions
from vizlib.ui.core import computations, formatting, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.url_state import resend
from vizlib.ui.core.user_model_card import UserModelCard
from vizlib.ui.sections.trust import draw_trust
from vizlib.ui.widgets.downloads import download_row, file_stem
from vizlib.ui.widgets.explanation import class_labels, sink_sentence, sum_words
from vizlib.ui.widgets.explanation_job import submit_explanation, submit_ranking
from vizlib.ui.widgets.method_options import OWN, draw_method, read_method_choice
from vizlib.ui.widgets.pickers import pick_map_style
from vizlib.ui.widgets.snippet import draw_snippet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamlit.delta_generator import DeltaGenerator

    from vizlib import Explanation, Prediction
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.widgets.explanation import Answer
    from vizlib.ui.widgets.method_options import MethodChoice
    from vizlib.ui.widgets.pickers import MapStyle

TOP = 5
SURE = 0.5  # of the probability: below it the other classes together are likelier than the answer
FEW_CLASSES = 200  # a model of fewer does not know most things that people photograph
SLOT, TRUST = "column.", "trust."
SECOND_SLOT, SECOND_TRUST = "second.", "second_trust."
RANKING, SECOND_RANKING = "ranking.", "second_ranking."
# There within a second, and clearly ahead in docs/exam.md: the first of Grad-CAM, question by question, the others of relevance.
OPENING_METHODS = {
    "tf_efficientnet_lite0": "hires_cam",
    "vit_small_saliency": "hires_cam",
    "compact_vit_tiny50": "hires_cam",
    "cct_tiny50": "hires_cam",
    "pvt_tiny50": "hires_cam",
    "cvt_tiny50": "grad_cam_plus_plus",
}
WITHOUT_WEIGHTS = "With a checkpoint of your own it works: choose that among the models."


def draw_columns(
    models: Sequence[ModelChoice],
    picture: Picture,
    second: Picture | None,
    fit: str | None,
    url_state: UrlState,
    answers: DeltaGenerator,
    *,
    alike: bool = False,
) -> None:
    """What the models answer, in a container of its own; how all maps look; and a column for each model.

    Where there is a ``second`` picture, a row for each model, with the same method on both: of its answer, or of what makes both ``alike``.
    """
    methods = [read_method_choice(model, url_state, OPENING_METHODS.get(model.name, ""), classless=alike) for model in models]
    like_second, like_first = (second, picture) if alike else (None, None)
    jobs = submit_explanations(methods, picture, fit, like=like_second)
    beside = submit_explanations(methods if second is not None else [], second or picture, fit, SECOND_SLOT, SECOND_TRUST, like=like_first)
    pending: list[Job[Any]] = []
    for method in methods:
        name = method.model.name
        texts = [answer_so_far(method, jobs[name], picture, fit, RANKING, pending)]
        if second is not None:
            texts.append(answer_so_far(method, beside[name], second, fit, SECOND_RANKING, pending))
        answers.markdown(f"**{formatting.plain(method.model.display_name)}:** {' | beside it: '.join(texts)}")
    if pending:
        with answers:
            job_slots.run_again_after(pending)
    maps = st.container()  # first, so that they lie on the first screen
    style = pick_map_style(url_state, several=len(models) * (1 if second is None else 2) > 1)
    with maps:
        _draw_maps(methods, jobs, beside, (picture, second), (like_first, like_second), fit, style)


def _draw_maps(
    methods: Sequence[MethodChoice],
    jobs: Mapping[str, Job[Answer] | None],
    beside: Mapping[str, Job[Answer] | None],
    pictures: tuple[Picture, Picture | None],
    like: tuple[Picture | None, Picture | None],
    fit: str | None,
    style: MapStyle,
) -> None:
    """A column for each model; of two ``pictures`` a row for each, with what each of them is to be ``like``."""
    (picture, second), (like_first, like_second) = pictures, like
    if not methods:
        st.info("Choose a model to see what it looks at.", icon=":material/visibility:")
    tops = common_tops([*jobs.values(), *beside.values()]) if style.scale == "one" else {}
    if second is not None:
        for method in methods:
            left, right = st.columns(2, gap="large")
            with left:
                draw_column(method, jobs[method.model.name], picture, fit, style, tops, like=like_second)
            with right:
                draw_beside(method, beside[method.model.name], second, fit, like=like_first)
        return
    if len(methods) == 1:
        left, right = st.columns([3, 2], gap="large")
        with left:
            draw_column(methods[0], jobs[methods[0].model.name], picture, fit, style, tops, aside=right)
        return
    per_row = 3 if len(methods) == 3 else 2
    for first in range(0, len(methods), per_row):
        for place, method in zip(st.columns(per_row, gap="large"), methods[first : first + per_row], strict=False):
            with place:
                draw_column(method, jobs[method.model.name], picture, fit, style, tops, narrow=per_row > 2)


def answer_so_far(
    method: MethodChoice, job: Job[Answer] | None, picture: Picture, fit: str | None, slot: str, pending: list[Job[Any]]
) -> str:
    """The answer in words, which does not wait for a map that takes longer than one pass; "…" until it is there, and a ``pending`` job."""
    slot += method.model.name
    if job is None or job.done:
        job_slots.drop(slot)
        return answer_text(job.result().ranking) if job is not None and job.state is JobState.DONE else "…"
    ranking = submit_ranking(slot, method.model, picture, fit)
    job_slots.wait_for([ranking])
    if ranking is not None and ranking.state is JobState.DONE:
        return answer_text(ranking.result())
    if ranking is not None and not ranking.done:
        pending.append(ranking)
    return "…"


def submit_explanations(
    methods: Sequence[MethodChoice],
    picture: Picture,
    fit: str | None,
    slot: str = SLOT,
    trust: str = TRUST,
    like: Picture | None = None,
) -> dict[str, Job[Answer] | None]:
    """The jobs that explain, by model; None for models whose weights would have to be fetched first.

    The smallest model is asked first: in a crowd everybody then has its map before anybody has a large one's.
    """
    chosen = {method.model.name: method for method in methods}
    for left in [held for held in job_slots.slots() if held.startswith((slot, trust)) and held.partition(".")[2] not in chosen]:
        job_slots.drop(left)
    by_size = sorted(chosen.items(), key=lambda item: item[1].model.card.parameters if item[1].model.card else 0)
    jobs = {
        name: submit_explanation(slot + name, method.model, method.request(picture, fit, like), picture, like) for name, method in by_size
    }
    job_slots.wait_for(list(jobs.values()))
    return jobs


def common_tops(jobs: Sequence[Job[Answer] | None]) -> dict[str, float]:
    """The upper end of one scale for all maps, for each unit that there is; in multiples of the unit."""
    tops: dict[str, float] = {}
    for job in jobs:
        data = job.result().map if job is not None and job.state is JobState.DONE else None
        if data is not None:
            tops[data.unit] = max(data.peak, tops.get(data.unit, 0.0))
    return tops


def draw_column(
    choice: MethodChoice,
    job: Job[Answer] | None,
    picture: Picture,
    fit: str | None,
    style: MapStyle,
    tops: dict[str, float],
    *,
    narrow: bool = False,
    aside: DeltaGenerator | None = None,
    like: Picture | None = None,
) -> None:
    """Draw one model's column; ``tops`` are the upper ends of the common scales by unit, none where each map has its own.

    What the model answers is said above all columns. What stands under the map goes ``aside`` where there is room beside it.
    """
    card = choice.card
    with st.container(gap="xsmall"):
        st.subheader(formatting.plain(card.title) if isinstance(card, UserModelCard) else card.title, anchor=False)
        st.caption(formatting.facts(card))
    draw_method(choice, narrow=narrow)
    answer = computations.result_or_status(SLOT + card.name, job, [choice.model], WITHOUT_WEIGHTS)
    if answer is None:
        photo_map(pack(picture, None), key=f"map.{card.name}")
        return
    if answer.explanation is None:
        st.info(formatting.plain(answer.refusal), icon=":material/block:")
    if like is not None and answer.explanation is not None:
        st.markdown(likeness_text(choice, answer, like))
    elif answer.explanation is not None and answer.ranking:
        draw_trust(TRUST + card.name, (choice.request(picture, fit), "trust"), choice.model, picture, answer.explanation)
    photo_map(answer.payload, key=f"map.{card.name}")
    with aside if aside is not None else st.container():
        if answer.explanation is not None:
            _draw_facts(answer.explanation)
        _draw_answers(choice, answer, like)
        if answer.explanation is not None:
            _draw_takeaways(choice, answer, picture, fit, style, tops, like)


def draw_beside(choice: MethodChoice, job: Job[Answer] | None, picture: Picture, fit: str | None, like: Picture | None = None) -> None:
    """Draw what a model makes of the second picture: the answer, the map, its badge and its facts; all choices stand with the first."""
    name = choice.card.name
    st.subheader(formatting.plain(picture.title), anchor=False)
    st.caption(f"The same model, method and options on a second picture, {picture.size}.")
    # What is to be fetched first is offered once, with the first picture.
    answer = computations.result_or_status(SECOND_SLOT + name, job) if job is not None else None
    if answer is None:
        photo_map(pack(picture, None), key=f"second.map.{name}")
        return
    if answer.explanation is None:
        st.info(formatting.plain(answer.refusal), icon=":material/block:")
    if like is not None and answer.explanation is not None:
        st.markdown(likeness_text(choice, answer, like))
    elif answer.explanation is not None and answer.ranking:
        draw_trust(SECOND_TRUST + name, (choice.request(picture, fit), "trust"), choice.model, picture, answer.explanation)
    photo_map(answer.payload, key=f"second.map.{name}")
    if answer.explanation is not None:
        _draw_facts(answer.explanation)
    top_predictions(answer.ranking[:TOP], None, pickable=False, key=f"second.answers.{name}")


def answer_text(ranking: Sequence[Prediction]) -> str:
    """The first answer with its probability, of how many classes, and how sure that is."""
    if not ranking:
        return "no classes: it gives features, not answers"
    first, known = ranking[0], f"one of {len(ranking):,} classes" if len(ranking) > 1 else "its one class"
    text = f"**{formatting.plain(first.label)}, {percent(first.probability)}** · {known}"
    if first.probability >= SURE or len(ranking) < 2:
        return text
    second = ranking[1]
    none = "; perhaps none of them is in the picture" if len(ranking) < FEW_CLASSES else ""
    return f"{text} · unsure: {formatting.plain(second.label)} has {percent(second.probability)}{none}"


def likeness_text(choice: MethodChoice, answer: Answer, like: Picture) -> str:
    """What the map of a likeness shows, with the cosine that it explains and what that is of."""
    if answer.cosine is None or answer.explanation is None:
        return f"{choice.method.title} gives the same map whatever is asked, so it does not tell of the likeness: choose another method."
    features = "class scores" if answer.ranking else "features"
    parts = "Red parts bring the two closer, blue parts apart" if answer.explanation.signed else "Bright parts bring the two closer"
    return (
        f"What makes this picture like **{formatting.plain(like.title)}**: the model's {features} for the two have a cosine of "
        f"**{answer.cosine:.2f}** (1: the same direction, 0: nothing in common, below 0: opposed). {parts}. How far such a map can "
        "be trusted is not measured here."
    )


def _draw_facts(explanation: Explanation) -> None:
    facts = [f"Explained in {formatting.seconds(explanation.seconds)}."]
    if explanation.drawn_sink:
        facts.append(sink_sentence(explanation))
    if "gap" in explanation.facts:
        words = sum_words(explanation)
        facts.append(f"{words[0].upper()}{words[1:]}.")
    st.markdown(" ".join(facts))
    for note in explanation.notes:
        st.info(formatting.plain(note), icon=":material/info:")


def _draw_answers(choice: MethodChoice, answer: Answer, like: Picture | None = None) -> None:
    if not answer.ranking:
        needs = "The map needs none." if answer.explanation is not None else ""
        if answer.explanation is None and like is None:
            needs = "Choose a picture under *Beside it*, and *More like this picture*, for what makes the two alike."
        st.info(f"This model has no classes: it gives features, not answers. {needs}", icon=":material/info:")
        return
    state, key, name = st.session_state, choice.target_key, choice.card.name
    # A class that the model does not have is refused; another one must then be within reach.
    pickable = like is None and choice.method.class_specific and (answer.explanation is not None or choice.target is not None)
    chosen = answer.explanation.target if pickable and answer.explanation else None
    rows = answer.ranking[:TOP] + [row for row in answer.ranking[TOP:] if row.index == chosen]

    def take() -> None:
        picked = state[f"answers.{name}"].pick
        state[key] = OWN if picked == answer.ranking[0].index else picked

    agnostic = f"{choice.method.title} gives the same map for all of them." if not choice.method.class_specific else ""
    other = agnostic if like is None else "The map is of the likeness, not of one of them."
    hint = "Choose the one to explain." if pickable else other if answer.explanation is not None else ""
    st.markdown(f"**Answers.** {hint}")
    top_predictions(rows, chosen if isinstance(chosen, int) else None, pickable=pickable, key=f"answers.{name}", on_pick=here(take))
    if pickable and answer.explanation is not None:
        labels = {OWN: "The model's own answer"} | class_labels(answer.ranking)
        st.selectbox(
            "Class to explain",
            list(labels),
            key=resend(key),
            format_func=lambda index: labels[index],
            help="Type to search all classes of this model.",
        )


def _draw_takeaways(
    choice: MethodChoice,
    answer: Answer,
    picture: Picture,
    fit: str | None,
    style: MapStyle,
    tops: dict[str, float],
    like: Picture | None = None,
) -> None:
    explanation, data, name = answer.explanation, answer.map, choice.card.name
    if explanation is None or data is None:
        return

    def png() -> bytes:
        from vizlib.figures.overlay import encode_png, overlay, signed_overlay

        end = data.highest if style.scale in ("stretch", "max") else tops.get(data.unit, data.peak)
        if data.unit == "score":
            return encode_png(signed_overlay(explanation.image, explanation.map, opacity=style.opacity, reach=end))
        low = data.lowest * data.unit_value if style.scale == "stretch" else 0.0
        high = end * data.unit_value
        return encode_png(overlay(explanation.image, explanation.map, opacity=style.opacity, colormap=style.colormap, low=low, high=high))

    download_row(
        file_stem(picture, choice.model, explanation.method),
        f"explore.{name}",
        ("png", png, ""),
        ("npz", explanation.npz, "Arrays for NumPy: the map on the model's input and on the picture, what was seen, the logits."),
    )
    target = choice.target if choice.method.class_specific and like is None else None
    draw_snippet(
        formatting.snippet(
            choice.card, picture.code, explanation.method, target, fit, choice.changed, style.opacity, style.colormap,
            like=like.code if like is not None and choice.method.class_specific else "",
        )
    )  # fmt: skip
    with st.expander("The method and the model", icon=":material/menu_book:"):
        st.markdown(
            f"**{choice.method.title}.** {choice.method.summary} [{choice.method.paper}]({choice.method.paper_url})\n\n"
            f"{formatting.about(choice.card)}"
        )
