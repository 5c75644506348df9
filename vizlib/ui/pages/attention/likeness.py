"""The held patch among those of another picture, and the queries and keys of a head in one plane."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.catalog.glossary import ROLES
from vizlib.figures.numbers import percent
from vizlib.ui.core import computations
from vizlib.ui.core.formatting import plain
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.attention.canvas import layer_name, token_name
from vizlib.ui.pages.attention.likeness_work import compute_head_plane, compute_likeness
from vizlib.ui.widgets.picture_picker import pick_second_picture

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.geometry import Geometry
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.attention.canvas import SelectedToken
    from vizlib.ui.pages.attention.likeness_work import HeadPlane, Likeness
    from vizlib.ui.pages.attention.pass_work import AttentionPass, PassRequest

_HOLD = "Click a patch on the picture to hold it: what is like it appears here."


def draw_likeness(
    attention_pass: AttentionPass, selected: SelectedToken | None, model: ModelChoice, request: PassRequest, url_state: UrlState
) -> None:
    """The held patch's features beside those of every patch of both pictures."""
    other = pick_second_picture(url_state, st.container())
    draw_text("How alike the model finds the held patch and every patch of both pictures, by the cosine of their features in this layer.")
    cell = _held_cell(attention_pass, selected)
    if other is None or selected is None or cell is None:
        st.info("Choose a second picture above." if other is None else _HOLD, icon=":material/ads_click:")
        return
    work = partial(compute_likeness, request, other, selected.layer)
    key = (attention_pass.identity, other.identity, selected.layer)
    likeness = computations.compute_or_status("attention.likeness", key, [model], work, keep=False)
    if likeness is None:
        return
    row = feature_cell(cell, _grid(attention_pass, selected), likeness.grids[0])
    st.markdown(likeness_words(likeness, row, plain(other.title)))
    parts = zip(st.columns(2, gap="medium"), (request.picture, other), (likeness.own, likeness.other), (0, 1), strict=True)
    for column, picture, cosines, place in parts:
        image = likeness_picture(picture, cosines[row].reshape(likeness.grids[place]), likeness.geometries[place])
        column.image(image, caption=f"{plain(picture.title)}: red is alike (1), grey unrelated (0), blue opposite (-1)", width="stretch")


def _grid(attention_pass: AttentionPass, selected: SelectedToken) -> tuple[int, int]:
    site = attention_pass.layers[selected.layer]
    grid = site.key_grid if selected.reverse else site.query_grid
    return grid.height, grid.width


def _held_cell(attention_pass: AttentionPass, selected: SelectedToken | None) -> tuple[int, int] | None:
    if selected is None:
        return None
    site = attention_pass.layers[selected.layer]
    grid = site.key_grid if selected.reverse else site.query_grid
    if not grid.cells or selected.query < grid.prefix:
        return None
    row, column = divmod(selected.query - grid.prefix, grid.width)
    return row, column


def feature_cell(cell: tuple[int, int], grid: tuple[int, int], features: tuple[int, int]) -> int:
    """The cell of a grid of features that holds the middle of a cell of another grid over the same picture."""
    row, column = (int((at + 0.5) * size / count) for at, size, count in zip(cell, features, grid, strict=True))
    return row * features[1] + column


def likeness_words(likeness: Likeness, row: int, title: str) -> str:
    """Where in the other picture the patch finds its like, beside what it finds in its own."""
    there, here = likeness.other[row], np.delete(likeness.own[row], row)
    best, width = int(there.argmax()), likeness.grids[1][1]
    own = f"The most alike of its own picture has {here.max():.2f}." if here.size else ""
    return (
        f"Most alike in {title} is **row {best // width + 1}, column {best % width + 1}**, cosine **{there[best]:.2f}**; "
        f"the mean of its {there.size} patches is {there.mean():.2f}. {own}"
    )


def likeness_picture(picture: Picture, cosines: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Cosines (h, w) of cells over their photograph."""
    from vizlib.figures.overlay import shrunk, signed_overlay

    rows, columns = (np.arange(side) * count // side for side, count in zip(geometry.input_size, cosines.shape, strict=True))
    drawn = signed_overlay(picture.pixels, geometry.map_to_image(cosines[rows][:, columns]), opacity=0.8, reach=1.0)
    return shrunk(drawn, 900)


def draw_head_plane(
    attention_pass: AttentionPass, selected: SelectedToken | None, layer: int, model: ModelChoice, request: PassRequest
) -> None:
    """Queries and keys of the canvas's head as points; those of the mean are of no head, so the first is shown."""
    from vizlib.figures.charts import CONFIG

    head = selected.head if selected is not None and selected.head is not None else 0
    work = partial(compute_head_plane, request, layer, head)
    plane = computations.compute_or_status("attention.plane", (attention_pass.identity, layer, head), [model], work, keep=False)
    if plane is None:
        return
    draw_text(
        f"Every query and every key of **head {head + 1}** in {layer_name(attention_pass, layer)}, moved and scaled so that no weight "
        "changes. Look whether queries lie among the keys that they fit."
    )
    st.plotly_chart(
        plane_chart(plane, attention_pass, layer, selected), key="attention.plane.chart", config=CONFIG, alt="Queries and keys in a plane"
    )
    st.markdown(f"Nearness in this plane and how well query and key fit go together by **{plane.correlation:.2f}** (1 would be fully).")
    st.caption(
        f"The two axes hold {percent(plane.share)} of the spread of all points (exact PCA); what lies apart in the others may lie together "
        "here. [Yeh et al., AttentionViz (2023)](https://arxiv.org/abs/2305.03210)."
    )


def plane_chart(plane: HeadPlane, attention_pass: AttentionPass, layer: int, selected: SelectedToken | None) -> go.Figure:
    """The points, with the held query or key ringed."""
    import plotly.graph_objects as go

    from vizlib.figures.charts import framed

    figure = go.Figure()
    parts = (("query", plane.queries, "circle", False), ("key", plane.keys, "diamond", True))
    for role, points, symbol, is_key in parts:
        names = [token_name(attention_pass, layer, token, key=is_key) for token in range(len(points))]
        held = selected.query if selected is not None and selected.layer == layer and selected.reverse == is_key else None
        figure.add_scatter(
            x=points[:, 0], y=points[:, 1], mode="markers", name="queries" if role == "query" else "keys", text=names,
            marker={
                "color": ROLES[role], "symbol": symbol, "size": [16 if token == held else 8 for token in range(len(points))],
                "line": {"color": "#d55e00", "width": [3 if token == held else 0 for token in range(len(points))]},
            },
            hovertemplate=f"{role} of %{{text}}<extra></extra>",
        )  # fmt: skip
    return framed(figure, height=420, x={"title": "first axis"}, y={"title": "second axis", "scaleanchor": "x"}, legend=True)
