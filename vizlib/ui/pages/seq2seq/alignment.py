"""What the alignment component draws: an answer, the attention of every step, and the step that is taken apart."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.ui.components.alignment import alignment
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.message_codec import pack
from vizlib.ui.pages.seq2seq import downloads, translator_service
from vizlib.ui.pages.seq2seq.choices import TranslationRequest, forget_edit
from vizlib.ui.pages.seq2seq.translation_work import compute_translation
from vizlib.ui.widgets.downloads import download_button, file_stem

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.seq2seq.translation import Step, Translation
    from vizlib.ui.core.url_state import UrlState

KEY = "seq2seq.alignment"
LISTED = 5  # probabilities of a step that are shown


def translation_or_status(request: TranslationRequest) -> Translation | None:
    """What is written for a request, once it is there; until then, why not."""
    work = partial(compute_translation, text=request.text, beams=request.beams, target=request.target)
    return translator_service.result_or_status("answer", request.key, request.card.name, work)


def identity_of(request: TranslationRequest) -> str:
    """A short name for an answer, the same whenever the same is request."""
    return hashlib.blake2b(repr((request.card.name, request.key)).encode(), digest_size=6).hexdigest()


def attentive(translation: Translation) -> bool:
    """Whether the model has attention that can be drawn."""
    return bool(translation.steps) and translation.steps[0].weights is not None


def pack_alignment(
    translation: Translation,
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

    ``weights`` is float32 (steps, maps, characters): the mean over the last layer's heads first, then every head where there are several.
    """
    heads, weights = ["mean"], None
    if attentive(translation):
        weights = np.stack([head_maps(written) for written in translation.steps])
        several = translation.steps[0].heads
        if weights.shape[1] > 1 and several is not None:
            heads = [f"layer {several.shape[0]}, mean"]
            heads += [f"layer {layer + 1}, head {head + 1}" for layer in range(several.shape[0]) for head in range(several.shape[1])]
    top = [[[char, float(p)] for char, p in written.top[:LISTED]] for written in translation.steps]
    header = {
        "identity": identity, "title": title, "source": list(source or translation.source), "tokens": list(translation.tokens),
        "given": forced, "own": [written.top[0][0] for written in translation.steps],
        "sure": [downloads.chance(written, vocabulary) for written in translation.steps], "top": top,
        "beams": [[text, float(log)] for text, log in translation.beams], "heads": heads, "step": step, "covered": covered, "still": still,
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

    def changed() -> None:
        forget_edit()
        take()

    return view["step"], changed


def step_of(view: str, steps: int) -> int:
    """The step a view names where the answer has it; the middle one where it names none."""
    return min(int(view) if view else (steps + 1) // 2, max(0, steps - 1))


def draw_alignment(translation: Translation, request: TranslationRequest, step: int, take: Callable[[], None], covered: int) -> None:
    """The matrix with its files."""
    title = f"{request.card.title} reads {request.text}"
    message = pack_alignment(
        translation, request.vocabulary, identity_of(request), title, step, forced=request.target is not None, covered=covered
    )
    alignment(message, key=KEY, on_change=here(take))
    if covered >= 0:
        return
    stem = file_stem("alignment", request.card.name)
    with st.container(horizontal=True):
        if attentive(translation):
            download_button(f"{stem}.png", lambda: downloads.png(translation), key="seq2seq.png")
        download_button(
            f"{stem}.csv", lambda: downloads.csv(translation, request.vocabulary), key="seq2seq.csv",
            hint="One line for each pair of a written and a read character: weight and score.",
        )  # fmt: skip
        download_button(
            f"{stem}.npz", lambda: downloads.npz(translation), key="seq2seq.npz",
            hint="Every array of every step: queries, keys, values, scores, weights, contexts, outputs, logits.",
        )  # fmt: skip


def _step(text: str) -> str:
    if text and not 0 <= int(text) < 1000:
        raise ValueError(text)
    return text
