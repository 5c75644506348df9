"""Where a learner is, and what was answered: how the address says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.ui.pages.learn.steps import STEPS

if TYPE_CHECKING:
    from vizlib.ui.core.url_state import UrlState

Answers = tuple[int | None, ...]
NONE: Answers = (None,) * len(STEPS)
LAST = len(STEPS) + 1  # behind the steps comes the handout


@dataclass(frozen=True)
class ProgressKeys:
    """The keys of the step, from 1, and of the answers to all steps."""

    step: str
    answers: str


def progress_keys(url_state: UrlState) -> ProgressKeys:
    """Declare both."""
    return ProgressKeys(url_state.declare("step", 1, read_step), url_state.declare("answers", NONE, read_answers, write_answers))


def read_step(text: str) -> int:
    """A step's number; ValueError where there is none of it."""
    if not 1 <= int(text) <= LAST:
        raise ValueError(text)
    return int(text)


def read_answers(text: str) -> Answers:
    """Answers as ``write_answers`` writes them, counted from 1 with a dash for none; ValueError for any other text."""
    parts = text.split("_")
    if len(parts) > len(STEPS):
        raise ValueError(text)
    answers = [None if part == "-" else int(part) - 1 for part in parts]
    if any(answer is not None and not 0 <= answer < 100_000 for answer in answers):
        raise ValueError(text)
    return (*answers, *NONE[len(answers) :])


def write_answers(answers: Answers) -> str:
    """Answers for the address."""
    last = max((place for place, answer in enumerate(answers) if answer is not None), default=-1)
    return "_".join("-" if answer is None else str(answer + 1) for answer in answers[: last + 1])


def keep_to_picture(identity: str, keys: ProgressKeys) -> None:
    """Forget what was answered about another picture; of a link, whose picture is the one at hand, nothing is forgotten."""
    state = st.session_state
    if state.get("learn.picture", identity) != identity:
        state[keys.answers] = tuple(None if step.of_picture else answer for step, answer in zip(STEPS, state[keys.answers], strict=True))
    state["learn.picture"] = identity
