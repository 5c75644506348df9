"""What the alignment component draws: an answer, the attention of every step, and the step that is taken apart."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.ui.components.alignment import alignment
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.message_codec import pack
from vizlib.ui.pages.seq2seq import downloads as files
from vizlib.ui.pages.seq2seq import translator_service as work
from vizlib.ui.pages.seq2seq.choices import TranslationRequest, forget_edit

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.engine.jobs import Job
    from vizlib.seq2seq.decode import Step, Translation
    from vizlib.seq2seq.models import Translator
    from vizlib.ui.core.url_state import UrlState

KEY = "seq2seq.alignment"
LISTED = 5  # probabilities of a step that are shown


def submit_translation(asked: TranslationRequest) -> Job[Translation]:
    """The job that decodes what is asked."""

    def answer(translator: Translator) -> Translation:
        from vizlib.seq2seq.decode import force, translate

        if asked.target is not None:
            return force(translator, asked.text, asked.target)
        return translate(translator, asked.text, beams=asked.beams)

    return work.submit("answer", asked.key, asked.card.name, answer)


def identity_of(asked: TranslationRequest) -> str:
    """A short name for an answer, the same whenever the same is asked."""
    return hashlib.blake2b(repr((asked.card.name, asked.key)).encode(), digest_size=6).hexdigest()


def attentive(made: Translation) -> bool:
    """Whether the model has attention that can be drawn."""
    return bool(made.steps) and made.steps[0].weights is not None


def pack_alignment(
    made: Translation,
    vocabulary: str,
    identity: str,
    title: str,
    step: int,
    *,
    source: tuple[str, ...] | None = None,
    forced: bool = False,
    covered: int = -1,
    still: bool = False,
) -> bytes:
    """The packed answer; the attention of steps from ``covered`` on (-1: none) is not shown, and ``still`` draws all at once.

    ``source`` are the characters in the order of the keys, where that is not the order in which they were read.

    ``weights`` is float32 (steps, maps, characters): the mean over heads first, then every head where there are several.
    """
    heads, weights = ["mean"], None
    if attentive(made):
        weights = np.stack([head_maps(one) for one in made.steps])
        several = made.steps[0].heads
        if weights.shape[1] > 1 and several is not None:
            heads += [f"layer {layer + 1}, head {head + 1}" for layer in range(several.shape[0]) for head in range(several.shape[1])]
    top = [[[char, float(p)] for char, p in one.top[:LISTED]] for one in made.steps]
    header = {
        "identity": identity, "title": title, "source": list(source or made.source), "tokens": list(made.tokens), "given": forced,
        "own": [one.top[0][0] for one in made.steps], "sure": [files.chance(one, vocabulary) for one in made.steps], "top": top,
        "beams": [[text, float(log)] for text, log in made.beams], "heads": heads, "step": step, "covered": covered, "still": still,
    }  # fmt: skip
    return pack(header, {} if weights is None else {"weights": weights})


def head_maps(step: Step) -> np.ndarray:
    """The attention of a step, float32 (1 + layers x heads, characters): the mean over heads, then each head."""
    mean = np.asarray(step.weights, np.float32)[None]
    several = getattr(step, "heads", None)
    return mean if several is None else np.concatenate([mean, np.asarray(several, np.float32).reshape(-1, mean.shape[1])])


def step_view(url_state: UrlState) -> tuple[str, Callable[[], None]]:
    """Declare the step that is taken apart: what the address says of it, and what to call when another was chosen."""
    view, take = component_state(url_state, KEY, {}, {"step": ("", _step)})

    def taken() -> None:
        forget_edit()
        take()

    return view["step"], taken


def step_of(view: str, steps: int) -> int:
    """The step a view names where the answer has it; the middle one where it names none."""
    return min(int(view) if view else (steps + 1) // 2, max(0, steps - 1))


def draw_alignment(made: Translation, asked: TranslationRequest, step: int, take: Callable[[], None], covered: int) -> None:
    """The matrix with its files."""
    title = f"{asked.card.title} reads {asked.text}"
    sent = pack_alignment(made, asked.vocabulary, identity_of(asked), title, step, forced=asked.target is not None, covered=covered)
    alignment(sent, key=KEY, on_change=take)
    stem = f"alignment-{asked.card.name}"
    with st.container(horizontal=True):
        if covered < 0 and attentive(made):
            st.download_button(
                "PNG", lambda: files.png(made), f"{stem}.png", "image/png", key="seq2seq.png", icon=":material/image:", on_click="ignore"
            )
        if covered < 0:
            st.download_button(
                "CSV", lambda: files.csv(made, asked.vocabulary), f"{stem}.csv", "text/csv", key="seq2seq.csv", icon=":material/table:",
                on_click="ignore",
                help="One line for each pair of a written and a read character: weight and score.",
            )  # fmt: skip
            st.download_button(
                "NPZ", lambda: files.npz(made), f"{stem}.npz", "application/octet-stream", key="seq2seq.npz", icon=":material/data_array:",
                on_click="ignore", help="Every array of every step: queries, keys, values, scores, weights, contexts, outputs, logits.",
            )  # fmt: skip


def _step(text: str) -> str:
    if text and not 0 <= int(text) < 1000:
        raise ValueError(text)
    return text
