"""One pass as one picture: from the pixels over every block to the logits, down to the numbers of one token."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.figures.numbers import listed, percent
from vizlib.ui.components.forward_pass import forward_pass
from vizlib.ui.core import computations
from vizlib.ui.core.formatting import plain
from vizlib.ui.core.message_codec import with_header
from vizlib.ui.pages.attention.forward_work import READS, compute_forward_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.pages.attention.canvas import SelectedToken
    from vizlib.ui.pages.attention.forward_work import ForwardPicture, LayerSize
    from vizlib.ui.pages.attention.pass_work import AttentionPass, PassRequest

HOW = (
    "Under each layer, :blue[**blue**] is what its attention adds to the token that is followed, **purple** what its MLP adds; the "
    "small map is how long every token is when it leaves. Open a layer, then a step, down to the numbers."
)


def draw_forward_picture(attention_pass: AttentionPass, selected: SelectedToken | None, model: ModelChoice, request: PassRequest) -> None:
    """What the whole pass did in words, then the picture; it follows the held patch, and where none is held the one of the answer."""
    work = partial(compute_forward_picture, request)
    picture = computations.compute_or_status("attention.forward", ("forward", request.picture.identity, request.fit), [model], work)
    if picture is None:
        return
    if picture.refusal:
        st.info(plain(picture.refusal), icon=":material/block:")
        return
    st.markdown(f"{additions_words(picture.layers)} {differences_words(picture)}")
    st.markdown(HOW)
    held = None if selected is None else held_place(attention_pass, selected)
    forward_pass(picture.message if held is None else with_header(picture.message, {"start": held}), key="attention.forward")


def held_place(attention_pass: AttentionPass, selected: SelectedToken) -> dict[str, float]:
    """Where the held token lies, in shares of the picture, or which of the learned tokens it is: the layers have grids of their own."""
    layer = attention_pass.layers[selected.layer]
    grid = layer.key_grid if selected.reverse else layer.query_grid
    cell = selected.query - grid.prefix
    if cell < 0:
        return {"prefix": selected.query}
    return {"v": (cell // grid.width + 0.5) / grid.height, "u": (cell % grid.width + 0.5) / grid.width}


def additions_words(layers: Sequence[LayerSize]) -> str:
    """Where attention and the MLP add most against what they are added to, the mean over all tokens."""
    shares = {
        "Attention": [layer.attention / layer.arrives for layer in layers],
        "the MLP": [layer.mlp / layer.arrives for layer in layers],
    }
    said = []
    for name, values in shares.items():
        most = percent(max(values))
        # What reads alike ties.
        where = [f"**{layer.title}**" for layer, value in zip(layers, values, strict=True) if percent(value) == most]
        said.append(f"{name} adds most in {listed(where)} ({most} of the length of what arrives there)")
    ahead = sum(mlp > attention for attention, mlp in zip(*shares.values(), strict=True))
    return f"{said[0]}, {said[1]}; the MLP adds more than attention in {ahead} of {len(layers)} layers. All are means over the tokens."


def differences_words(picture: ForwardPicture) -> str:
    """What this pass has that a plain ViT's has not, and what the head reads."""
    layers, parts = picture.layers, []
    sizes = list(dict.fromkeys(layer.tokens for layer in layers))
    if len(sizes) > 1:
        fewer = all(after < before for before, after in itertools.pairwise(sizes))
        what = "tokens become fewer" if fewer else "number of tokens changes"
        parts.append(f"The {what} on the way: {', '.join(f'{size:,}' for size in sizes)}.")
    reduced = next((layer for layer in layers if layer.keys < layer.tokens), None)
    if reduced is not None:
        parts.append(f"In {reduced.title}, {reduced.tokens:,} tokens look at {reduced.keys:,} keys.")
    if picture.norms_skip:
        parts.append("Each layer norms what goes past its MLP.")
    return " ".join([*parts, READS[picture.reads]])
