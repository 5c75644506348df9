"""The artifact doctor: tokens whose norm stands out, and the rollout without them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.analysis.attention.token_norms import artifact_cells
from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import counted, percent
from vizlib.ui.components.photo_map import photo_map
from vizlib.ui.core import computations
from vizlib.ui.core.url_state import number, resend
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.attention.artifact_work import compute_artifact_rollouts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.analysis.attention.token_norms import Norms
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.attention.pass_work import AttentionPass, PassRequest

THRESHOLD = 6.0
_SIDE = 120  # pixels of a layer's picture
_WIDE = 108  # on the page: three are beside one another on a telephone


def threshold_key(url_state: UrlState) -> str:
    """Declare the score from which a token is odd."""
    return url_state.declare("threshold", THRESHOLD, number(2, 50), lambda value: f"{value:g}")


def draw_artifact_tokens(
    attention_pass: AttentionPass, model: ModelChoice, request: PassRequest, url_state: UrlState, colormap: str
) -> None:
    """The norms of every layer, the cells that stand out, and the rollout with and without them."""
    key = threshold_key(url_state)
    draw_text("In large vision transformers a few tokens were found to grow far longer than all others: the model uses them as a scratch "
              "pad, and maps then light up in empty sky ([Darcet et al. 2024](https://arxiv.org/abs/2309.16588)).")  # fmt: skip
    threshold = st.slider(
        "Odd from this robust z-score on",
        2.0,
        50.0,
        key=resend(key),
        step=0.5,
        help="(norm − median) / (1.4826 · median absolute deviation) among the patches of one layer.",
    )
    odd = artifact_cells(attention_pass.norms, threshold)
    highest = max(attention_pass.norms, key=lambda layer: float(layer.scores.max()), default=None)
    if highest is None:
        st.info("This model's layers keep no tokens on a grid.", icon=":material/block:")
        return
    st.markdown(artifact_words(attention_pass.norms, threshold))
    _draw_norms(attention_pass, threshold, colormap)
    st.caption("How long the tokens of each layer are, from its shortest to its longest, and the largest z-score among them.")
    if not odd:
        return
    work = partial(compute_artifact_rollouts, request, odd)
    rollouts = computations.compute_or_status("attention.odd", (attention_pass.identity, repr(odd)), [model], work, keep=False)
    if rollouts is None:
        return
    for place, title, (payload, sink) in zip(st.columns(2, gap="large"), ("Rollout", "Rollout without them"), rollouts, strict=True):
        with place:
            st.markdown(f"**{title}**")
            photo_map(payload, key=f"attention.odd.{title}")
            if sink:
                st.caption(f"{percent(sink)} ends in learned tokens or padding.")


def artifact_words(norms: Sequence[Norms], threshold: float) -> str:
    """How many patches are odd, each counted once, in how many layers, and which stands out most."""
    odd = [(layer.norms.shape, cell) for layer in norms for cell in layer.odd(threshold).tolist()]
    layers = sum(len(layer.odd(threshold)) > 0 for layer in norms)
    highest = max(norms, key=lambda layer: float(layer.scores.max()))
    peak = f"the one that stands out most is {float(highest.scores.max()):.1f} deviations above the median, in {layer_title(highest.name)}"
    if not odd:
        return f"**No odd token**: {peak}."
    patches = len(set(odd))
    where = f"in {layers} of {counted(len(norms), 'layer')}"
    above = "and in the picture above" if threshold == THRESHOLD else f"(in the picture above those from {THRESHOLD:g} on)"
    return f"**{counted(patches, 'odd token')}**, {where}, marked red here {above}: {peak}."


def _draw_norms(attention_pass: AttentionPass, threshold: float, colormap: str) -> None:
    import cv2
    import numpy as np

    from vizlib.figures.overlay import coloured, encode_png

    with st.container(horizontal=True, gap="small"):  # as many beside one another as the screen has room for
        for layer in attention_pass.norms:
            tile = coloured(layer.norms, colormap, float(layer.norms.min()))
            tile = np.ascontiguousarray(cv2.resize(tile, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST))
            height, width = layer.norms.shape
            for cell in layer.odd(threshold).tolist():
                y, x = ((place + 0.5) * _SIDE / side for place, side in zip(divmod(cell, width), (height, width), strict=True))
                cv2.circle(tile, (round(x), round(y)), 4, (255, 75, 110), -1, cv2.LINE_AA)
                cv2.circle(tile, (round(x), round(y)), 5, (255, 255, 255), 1, cv2.LINE_AA)
            st.image(encode_png(tile), f"{layer_title(layer.name)}: {float(layer.scores.max()):.1f}", width=_WIDE, output_format="PNG")
