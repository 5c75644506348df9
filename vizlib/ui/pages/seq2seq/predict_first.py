"""Predict first: the learner draws where the attention will go, and then sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.ui.components.predict_first import predict_first
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.contents import heading
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from vizlib.seq2seq.translation import Translation

KEY = "seq2seq.guess"
_SHOWN = "seq2seq.revealed"


def divergence(truth: np.ndarray, guess: np.ndarray) -> float:
    """KL(truth || guess) in bits: sum of p log2(p / q); infinite where the guess calls impossible what happens."""
    happens = truth > 0
    with np.errstate(divide="ignore"):
        return float((truth[happens] * np.log2(truth[happens] / guess[happens])).sum())


def revealed(identity: str, step: int) -> bool:
    """Whether this visitor has seen the attention of a step."""
    return _name(identity, step) in st.session_state.setdefault(_SHOWN, set())


def pack_predict_first(translation: Translation, identity: str, step: int, *, open_: bool) -> bytes:
    """The packed question: the text, what is written so far, and the attention (n,) that is to be guessed."""
    written = "".join(translation.tokens[:step])
    header = {
        "identity": _name(identity, step), "source": list(translation.source), "token": translation.tokens[step],
        "written": written, "revealed": open_,
    }  # fmt: skip
    return pack(header, {"weights": np.asarray(translation.steps[step].weights, np.float32)})


def draw_predict_first(translation: Translation, identity: str, step: int) -> None:
    """The bars to drag; once the truth was asked for, it stays."""
    state = st.session_state

    def take() -> None:
        view = state[KEY].view or {}
        if view.get("revealed") == _name(identity, step):
            state[_SHOWN].add(view["revealed"])

    heading("Predict first")
    predict_first(pack_predict_first(translation, identity, step, open_=revealed(identity, step)), key=KEY, on_change=here(take))


def _name(identity: str, step: int) -> str:
    return f"{identity}.{step}"
