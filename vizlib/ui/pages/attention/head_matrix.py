"""All heads at a glance: layers x heads in four numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.figures.numbers import percent
from vizlib.ui.components.head_matrix import head_matrix, table
from vizlib.ui.core import computations
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.attention.canvas import layer_name
from vizlib.ui.pages.attention.head_work import compute_head_statistics

if TYPE_CHECKING:
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.pages.attention.pass_work import AttentionPass, PassRequest

_TITLES = {"entropy": "Entropy", "distance": "Mean distance", "learned": "To learned tokens", "diagonal": "To itself"}


def draw_heads(attention_pass: AttentionPass, model: ModelChoice, request: PassRequest, colormap: str) -> None:
    """Four tables; a click opens the head in the canvas."""
    work = partial(compute_head_statistics, request)
    statistics = computations.compute_or_status("attention.heads", attention_pass.identity, [model], work, keep=False)
    if statistics is None:
        return
    draw_text(
        "Each square is one head; each table has its own colours, from its lowest number to its highest. Click a square to open that head "
        "in the picture above."
    )
    names = [layer_name(attention_pass, layer).capitalize() for layer in range(len(attention_pass.layers))]
    write = {"entropy": lambda x: f"{x:.2f} bits", "distance": lambda x: f"{x:.1f} px"}
    tables = [
        table(_TITLES[name], note, values, [[write.get(name, percent)(value) for value in row] for row in values], colormap)
        for name, (note, values) in statistics.items()
    ]
    head_matrix(tables, names, key="attention.heads")
    st.caption("Averages over all patches of this picture as queries (Raghu et al. 2021, "
               "[Do Vision Transformers See Like Convolutional Neural Networks?](https://arxiv.org/abs/2108.08810)).")  # fmt: skip
