"""What the visitor of the seq2seq page chooses: the task, the model, the text, and how the answer is decoded."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

import vizlib
from vizlib.figures.numbers import percent
from vizlib.seq2seq.cards import cards
from vizlib.seq2seq.task_base import END
from vizlib.seq2seq.task_registry import TASKS
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.formatting import plain
from vizlib.ui.core.url_state import one_of, resend

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlit.delta_generator import DeltaGenerator

    from vizlib.seq2seq.cards import Seq2SeqCard
    from vizlib.seq2seq.task_base import Task
    from vizlib.ui.core.url_state import UrlState

BEAMS = (1, 2, 3, 5)
_EXAMPLES = 4
_TASK, _MODEL, _TEXT = 200, 384, 418  # pixels: the longest title is whole, and two of them lie in a row at 1024 px
_GOOD = "seq2seq.good"


@dataclass(frozen=True)
class TranslationRequest:
    """What is decoded: a text that its task accepts, by a model, greedily or by a beam, or along a target that is given."""

    task: Task
    card: Seq2SeqCard
    text: str
    beams: int
    target: str | None
    predict: bool

    @property
    def key(self) -> tuple[str, int, str | None]:
        """What an answer is kept by, beside the model."""
        return self.text, self.beams, self.target

    @property
    def vocabulary(self) -> str:
        """The characters of a step's probabilities, in their order."""
        return END + self.task.target_alphabet


def of_task(task: str) -> list[Seq2SeqCard]:
    """The models of a task, the trained ones first."""
    return sorted((card for card in cards().values() if card.task == task), key=lambda card: card.accuracy is None)


def first_of(task: str) -> Seq2SeqCard:
    """The model a task opens on: the one of Bahdanau and colleagues where it is trained, else the most accurate one."""
    models = of_task(task)
    trained = [card for card in models if card.accuracy is not None]
    additive = [card for card in models if card.cell == "gru" and card.score == "concat"]
    if additive and additive[0] in trained:
        return additive[0]
    return max(trained, key=lambda card: card.accuracy or 0) if trained else (additive or models)[0]


def forget_edit() -> None:
    """Drop the keys hidden and the scores set by hand: they belong to one step of one answer."""
    st.session_state["seq2seq.mask"] = st.session_state["seq2seq.scores"] = ""


def pick(url_state: UrlState) -> TranslationRequest | None:
    """The choices as widgets; None where the chosen model was never trained, which the page then says."""
    state = st.session_state
    task_key = url_state.declare("task", "dates", one_of(tuple(TASKS)))
    task = TASKS[state[task_key]]
    models = {card.name: card for card in of_task(task.name)}
    first = first_of(task.name)
    model_key = url_state.declare("model", first.name, one_of(tuple(models)))
    text_key = url_state.declare("text", task.examples[0], str, lambda text: text if _unread(task, text) is None else None)
    beams_key = url_state.declare("beams", 1, _beams)
    if state[model_key] not in models:
        state[model_key] = first.name

    def take_task() -> None:
        forget_edit()
        chosen = TASKS[state[task_key]]
        state[model_key], state[text_key] = first_of(chosen.name).name, chosen.examples[0]

    row = st.container(horizontal=True)
    row.selectbox(
        "Task", list(TASKS), key=resend(task_key), format_func=lambda name: TASKS[name].title, on_change=here(take_task), width=_TASK
    )
    row.selectbox(
        "Model",
        list(models),
        key=resend(model_key),
        format_func=lambda name: _named(models[name]),
        on_change=here(forget_edit),
        width=_MODEL,
    )
    card = models[state[model_key]]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = _pick_text(task, text_key)
        st.segmented_control(
            "Greedy, or a beam of", BEAMS, key=resend(beams_key), required=True, on_change=here(forget_edit),
            format_func=lambda count: "greedy" if count == 1 else str(count),
            help="**Greedy** takes the likeliest character at every step. A **beam** keeps several beginnings alive and gives the "
            "likeliest whole answer among them.", wrap=True,
        )  # fmt: skip
    row = st.container(horizontal=True, vertical_alignment="center")
    with row:
        _offer_texts(task, text_key)
    target, predict = _pick_modes(row, url_state, task, card, text)
    _say_unread(task, state[text_key])
    return TranslationRequest(task, card, text, state[beams_key], target, predict) if card.accuracy is not None else None


def draw_untrained() -> None:
    """Say that the model was never trained, and offer those that were."""
    name = st.session_state["seq2seq.model"]
    trained = [card for card in of_task(st.session_state["seq2seq.task"]) if card.accuracy is not None]
    st.warning(
        "Nobody has trained this model yet: its weights would be random numbers, and what it wrote would mean nothing. "
        + ("One that is trained is a click away:" if trained else f"`vizlib train seq2seq {name}` trains it in minutes."),
        icon=":material/model_training:",
    )

    def take(chosen: str) -> None:
        st.session_state["seq2seq.model"] = chosen

    with st.container(horizontal=True):
        for card in trained:
            st.button(_named(card), key=f"seq2seq.take.{card.name}", on_click=here(take), args=(card.name,))


def _named(card: Seq2SeqCard) -> str:
    return f"{card.title} · " + ("not trained" if card.accuracy is None else f"{percent(card.accuracy / 100, 1)} right")


def _pick_text(task: Task, key: str) -> str:
    """The text to read: the last one that could be."""
    state = st.session_state
    good = state.setdefault(_GOOD, {})
    st.text_input(
        "What it reads", key=key, value=state[key], icon=":material/edit:", width=_TEXT,
        help=f"{task.explain} Up to {task.longest} characters: {task.accepts}.", on_change=here(forget_edit),
    )  # fmt: skip
    if _unread(task, state[key]) is None:
        good[task.name] = task.check(state[key])
    return good.get(task.name) or task.check(task.examples[0])


def _offer_texts(task: Task, key: str) -> None:
    """Texts that are worth reading, and new ones."""

    def take(text: str) -> None:
        forget_edit()
        st.session_state[key] = text

    for number, text in enumerate(task.examples[:_EXAMPLES]):
        st.button(text, key=f"seq2seq.example.{number}", on_click=here(take), args=(text,), type="tertiary")
    st.button(
        "A new one", key="seq2seq.draw", icon=":material/casino:", type="tertiary",
        help="Made by the task's rule, like its training data.", on_click=here(lambda: take(task.sample(random.Random())[0])),
    )  # fmt: skip


def _say_unread(task: Task, text: str) -> None:
    """Say why a text cannot be read, where it cannot."""
    error = _unread(task, text)
    if error is not None:
        st.error(f"{plain(str(error))} What is shown is the last text that could be read.", icon=":material/keyboard:")


def _pick_modes(row: DeltaGenerator, url_state: UrlState, task: Task, card: Seq2SeqCard, text: str) -> tuple[str | None, bool]:
    """Teacher forcing with its target, and whether the learner predicts first."""
    state = st.session_state
    force_key = url_state.declare("force", False, _flag, _written)  # noqa: FBT003  a flag is what is kept
    target_key = url_state.declare("target", "", str)
    predict_key = url_state.declare("predict", False, _flag, _written)  # noqa: FBT003
    row.toggle(
        "Teacher forcing", key=resend(force_key), on_change=here(forget_edit),
        help="The next character is given instead of the model's own, as in training: see what it would have written at each step.",
    )  # fmt: skip
    row.toggle(
        "Predict first", key=resend(predict_key), disabled=not card.attention,
        help="Covers the attention until you have drawn where you expect it.",
    )  # fmt: skip
    if state[force_key]:
        row.text_input(
            "Given answer", key=target_key, value=state[target_key], placeholder=task.truth(text) or "", label_visibility="collapsed",
            on_change=here(forget_edit), help="Empty: the right answer where the rule can read the text.",
        )  # fmt: skip
    if not state[force_key]:
        return None, state[predict_key]
    target = state[target_key] or task.truth(text)
    odd = sorted({char for char in target or "" if char not in task.target_alphabet})
    if target is None:
        st.error("The rule cannot read this text, so it has no right answer: type the one to be given.", icon=":material/keyboard:")
    elif odd or len(target) > task.longest_output:
        what = f"the characters {_listed(odd[:3])}, which this model cannot write" if odd else f"{len(target)} characters"
        st.error(
            f"The given answer has {what}: it writes at most {task.longest_output} of {_listed(task.target_alphabet)}.",
            icon=":material/keyboard:",
        )  # fmt: skip
        target = None
    return target, state[predict_key]


def _listed(characters: Iterable[str]) -> str:
    return " ".join("␣" if char == " " else f"`{char}`" for char in characters)


def _unread(task: Task, text: str) -> vizlib.TextError | None:
    try:
        task.check(text)
    except vizlib.TextError as error:
        return error
    return None


def _beams(text: str) -> int:
    return int(one_of(tuple(map(str, BEAMS)))(text))


def _flag(text: str) -> bool:
    return one_of(("0", "1"))(text) == "1"


def _written(value: bool) -> str:
    return "1" if value else "0"
