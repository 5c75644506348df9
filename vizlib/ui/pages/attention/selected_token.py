"""The held patch in exact numbers, and its rollout down to the pixels."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.figures.numbers import percent
from vizlib.ui.components.photo_map import photo_map
from vizlib.ui.core import computations
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.attention.canvas import layer_name, token_name
from vizlib.ui.pages.attention.token_work import compute_row, compute_token_rollout
from vizlib.ui.widgets.downloads import download_row, file_stem, npz

if TYPE_CHECKING:
    from vizlib.analysis.attention.head_statistics import Row
    from vizlib.geometry import Geometry
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.pages.attention.canvas import SelectedToken
    from vizlib.ui.pages.attention.pass_work import AttentionPass, PassRequest
    from vizlib.ui.pages.attention.token_work import TokenRollout

_TOP = 6


def draw_selected_token(attention_pass: AttentionPass, selected: SelectedToken | None, model: ModelChoice, request: PassRequest) -> None:
    """The numbers of the held query and its rollout; before the first click, what a click does."""
    if selected is None:
        st.info("Click a patch on the picture, or a learned token beside it, to hold it: its exact numbers and its way down to the "
                "pixels appear here.", icon=":material/ads_click:")  # fmt: skip
        return
    left, right = st.columns(2, gap="large")
    with left:
        _draw_numbers(attention_pass, selected, model, request)
    with right:
        _draw_rollout(attention_pass, selected, model, request)


def _draw_numbers(attention_pass: AttentionPass, selected: SelectedToken, model: ModelChoice, request: PassRequest) -> None:
    site = attention_pass.layers[selected.layer]
    fused = "the mean of the heads" if site.heads > 1 else "its one head"
    which = fused if selected.head is None else f"head {selected.head + 1}"
    subject = token_name(attention_pass, selected.layer, selected.query, key=selected.reverse)
    verb = "is looked at" if selected.reverse else "looks"
    st.markdown(f"**{subject[0].upper()}{subject[1:]}** {verb} in {layer_name(attention_pass, selected.layer)}, {which}:")
    work = partial(compute_row, request, selected.layer, selected.query, selected.head, reverse=selected.reverse)
    row = computations.compute_or_status("attention.row", (attention_pass.identity, selected), [model], work, keep=False)
    if row is None:
        return
    _draw_metrics(attention_pass, selected, row)
    _draw_top(row, reverse=selected.reverse)
    names = site.query_prefix if selected.reverse else site.key_prefix
    if names:
        word = "gives" if selected.reverse else "gets"
        st.caption(" · ".join(f"{name} {word} {percent(float(share))}" for name, share in zip(names, row.learned, strict=True)))


def _draw_metrics(attention_pass: AttentionPass, selected: SelectedToken, row: Row) -> None:
    site = attention_pass.layers[selected.layer]
    patch = math.sqrt(math.prod(attention_pass.geometry.input_size) / site.query_grid.cells) if site.query_grid.cells else math.nan
    with st.container(horizontal=True):
        if row.entropy is not None:
            as_many = f"As spread out as an even look at {2**row.entropy:.1f} tokens; "
            most = f"all {row.grid.tokens} alike would be {math.log2(row.grid.tokens):.2f} bits."
            st.metric("Entropy", f"{row.entropy:.2f} bits", help=as_many + most, border=True)
        else:
            even = row.grid.tokens / max(1, site.key_grid.tokens)
            what = f"The sum of what all queries give to it. Each has 1 to give, so an even share would be {even:.2f}."
            st.metric("Received", f"{row.weights.sum():.2f}", help=what, border=True)
        if math.isfinite(row.distance):
            st.metric("Mean distance", f"{row.distance:.1f} px", help=f"Weighted by attention, between centres, on the model's input: "
                      f"{row.distance / patch:.1f} patches. Learned tokens have no place and do not count.", border=True)  # fmt: skip
        if len(row.learned):
            share = percent(float(row.learned.sum() / (row.weights.sum() or 1)))
            of = "that it receives comes from" if row.entropy is None else "goes to"
            what = f"How much of the attention {of} learned tokens, such as the class token, which are no patch of the picture."
            st.metric("Learned tokens", share, help=what, border=True)


def _draw_top(row: Row, *, reverse: bool) -> None:
    best = row.top(_TOP)
    if not best:
        return
    what = "What each of them gives" if reverse else "Share"
    among = " among the patches" if row.grid.prefix else ""  # a learned token may have more
    lines = "\n".join(f"| row {y + 1}, column {x + 1} | {percent(share)} |" for y, x, share in best)
    st.markdown(f"| {'Most from' if reverse else 'Most to'}{among} | {what} |\n|:--|--:|\n{lines}")


def _draw_rollout(attention_pass: AttentionPass, selected: SelectedToken, model: ModelChoice, request: PassRequest) -> None:
    site = attention_pass.layers[selected.layer]
    if selected.reverse and site.key_grid != site.query_grid:
        st.caption("Its keys are gathered from several tokens, so a walk down to the pixels starts at none of them: look at "
                   "“Where it looks” instead.")  # fmt: skip
        return
    draw_text("**Where it comes from**: the rollout from this token, through all layers below, down to the pixels")
    key = (attention_pass.identity, selected.layer, selected.query)
    work = partial(compute_token_rollout, request, selected.layer, selected.query)
    walk = computations.compute_or_status("attention.walk", key, [model], work, keep=False)
    if walk is None:
        return
    photo_map(walk.payload, key="attention.walk")
    if walk.sink:
        st.caption(f"{percent(walk.sink)} of the walk ends in learned tokens or padding, not in the picture.")

    def arrays() -> bytes:
        rows = np.zeros((0, 0)) if selected.reverse else walk.weights
        return npz(input_map=walk.input_map, sink=walk.sink, attention=rows)

    download_row(
        file_stem(request.picture, model, f"layer{selected.layer + 1}", f"token{selected.query}"),
        "attention",
        ("png", partial(token_rollout_png, walk, request.picture, attention_pass.geometry), ""),
        ("npz", arrays, "Arrays for NumPy: this map, its sink, and what the token looks at in every head of its layer."),
    )


def token_rollout_png(walk: TokenRollout, picture: Picture, geometry: Geometry) -> bytes:
    """A token's rollout over the photograph, in the colours that the page begins with."""
    from vizlib.figures.map_scale import colours_end
    from vizlib.figures.overlay import encode_png, overlay

    high = colours_end(walk.input_map, geometry.content, walk.sink)
    return encode_png(overlay(picture.pixels, geometry.map_to_image(walk.input_map), high=high))
