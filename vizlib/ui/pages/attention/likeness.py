"""The held patch among those of another picture, and the queries and keys of a head in one plane."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.catalog.glossary import ROLES
from vizlib.figures.numbers import decimal, percent
from vizlib.ui.components.canvas_pointer import canvas_pointer
from vizlib.ui.core import computations
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.formatting import plain
from vizlib.ui.core.pictures import SAMPLES, sample
from vizlib.ui.core.url_state import resend, some_of
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.attention.canvas import layer_name, token_name
from vizlib.ui.pages.attention.likeness_work import compute_head_plane, compute_likeness
from vizlib.ui.widgets.picture_picker import pick_second_picture, show_sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import plotly.graph_objects as go

    from vizlib.geometry import Geometry
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.attention.canvas import SelectedToken
    from vizlib.ui.pages.attention.likeness_work import HeadPlane, Likeness
    from vizlib.ui.pages.attention.pass_work import AttentionPass, PassRequest

MOST_BESIDE = 3  # more pictures in one plane are no longer told apart
_SYMBOLS = ("circle", "square", "triangle-up", "star")  # of the pictures: filled for queries, open for keys
_HELD = "#d55e00"
_PICKED = "attention.plane.picked"  # a token on its way to the canvas
_ELSEWHERE = "attention.plane.elsewhere"  # the picture that a clicked point belongs to, and its token
_HOLD = "Click a patch on the picture to hold it: what is like it appears here."


def draw_likeness(
    attention_pass: AttentionPass, selected: SelectedToken | None, model: ModelChoice, request: PassRequest, url_state: UrlState
) -> None:
    """The held patch's features beside those of every patch of both pictures."""
    other = pick_second_picture(url_state, st.container(), request.picture)
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
        column.image(
            image, caption=f"{plain(picture.title)}: red is alike (1), grey unrelated (0), blue opposite (\u22121)", width="stretch"
        )


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
    own = f"The most alike of its own picture has {decimal(float(here.max()))}." if here.size else ""
    return (
        f"Most alike in {title} is **row {best // width + 1}, column {best % width + 1}**, cosine **{decimal(float(there[best]))}**; "
        f"the mean of its {there.size} patches is {decimal(float(there.mean()))}. {own}"
    )


def likeness_picture(picture: Picture, cosines: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Cosines (h, w) of cells over their photograph."""
    from vizlib.figures.overlay import shrunk, signed_overlay

    rows, columns = (np.arange(side) * count // side for side, count in zip(geometry.input_size, cosines.shape, strict=True))
    drawn = signed_overlay(picture.pixels, geometry.map_to_image(cosines[rows][:, columns]), opacity=0.8, reach=1.0)
    return shrunk(drawn, 900)


def plane_key(url_state: UrlState) -> str:
    """Declare the samples whose queries and keys lie in the plane too."""
    return url_state.declare("with", [], some_of(tuple(SAMPLES), MOST_BESIDE), lambda names: ",".join(names) or None)


def draw_head_plane(
    attention_pass: AttentionPass,
    selected: SelectedToken | None,
    shown: tuple[int, int],
    model: ModelChoice,
    request: PassRequest,
    url_state: UrlState,
) -> None:
    """Queries and keys of the layer and head that are ``shown``, as points, of several pictures."""
    from vizlib.figures.charts import CONFIG

    layer, head = shown
    others = _pick_others(url_state, request.picture)
    work = partial(compute_head_plane, request, others, layer, head)
    key = (attention_pass.identity, layer, head, tuple(other.identity for other in others))
    plane = computations.compute_or_status("attention.plane", key, [model], work, keep=False)
    if plane is None:
        return
    titles = [plain(picture.title) for picture in (request.picture, *others)]
    click = f"A click on a point of {titles[0]} holds its token in the picture above"
    draw_text(
        f"Every query and every key of **head {head + 1}** in {layer_name(attention_pass, layer)}, moved and scaled in ways that "
        f"change no attention weight. Look whether queries lie among the keys that they fit. {click}"
        f"{'; one of another picture can be shown there instead' if others else ''}. A head that is opened under All heads, or a patch "
        "that is held in another layer or head, brings its own plane."
    )
    st.plotly_chart(
        plane_chart(plane, attention_pass, layer, selected, titles), key="attention.plane.chart", config=CONFIG,
        selection_mode="points", on_select=here(partial(_take_point, layer, head, others)), alt="Queries and keys in a plane",
    )  # fmt: skip
    canvas_pointer(st.session_state.pop(_PICKED, None), key="attention.plane.pointer")
    _draw_elsewhere(attention_pass, others, (layer, head), request.picture, url_state)
    st.markdown(plane_words(plane))
    st.caption(
        f"The axes are the two along which all points spread most (principal components), with {percent(plane.share)} of the spread; what "
        "lies apart along the others may lie together here. [Yeh et al., AttentionViz (2023)](https://arxiv.org/abs/2305.03210)."
    )


def plane_words(plane: HeadPlane) -> str:
    """How far nearness in the plane tells of attention."""
    pairs = "a query and a key" if len(plane.queries) == 1 else "a query and a key of one picture"
    if np.isnan(plane.correlation):
        return f"Whether {pairs} that lie near each other here fit (by their product) cannot be told: all fit alike."
    below = ", and below 0 near ones fit less than far ones" if plane.correlation < 0 else ""
    return (
        f"How near {pairs} lie here, and how well they fit (their product), have a correlation of **{decimal(plane.correlation)}**; "
        f"at 1 the plane would show the fit exactly, at 0 not at all{below}."
    )


def _pick_others(url_state: UrlState, picture: Picture) -> list[Picture]:
    """The samples that lie in the plane beside the page's picture."""
    key, state = plane_key(url_state), st.session_state
    names = [name for name in SAMPLES if f"sample:{name}" != picture.identity]
    state[key] = [name for name in state[key] if name in names][:MOST_BESIDE]
    chosen = st.multiselect(
        "In the plane with them", names, key=resend(key), max_selections=MOST_BESIDE, format_func=lambda name: SAMPLES[name].title,
        placeholder=f"queries and keys of up to {MOST_BESIDE} more pictures",
    )  # fmt: skip
    return [sample(name) for name in chosen]


def _take_point(layer: int, head: int, others: Sequence[Picture]) -> None:
    """Have the canvas hold the point's token; where it is one of another picture, remember it to be asked about."""
    state = st.session_state
    points = state["attention.plane.chart"].selection.points
    state.pop(_ELSEWHERE, None)
    if not points:
        return
    place, is_key = divmod(points[0]["curve_number"], 2)
    token = {"layer": layer, "head": head, "query": int(points[0]["point_index"]), "reverse": bool(is_key)}
    if place == 0:
        state[_PICKED] = token
    elif place <= len(others):
        state[_ELSEWHERE] = (others[place - 1].identity, token)


def _draw_elsewhere(
    attention_pass: AttentionPass, others: Sequence[Picture], shown: tuple[int, int], picture: Picture, url_state: UrlState
) -> None:
    """What the point is that was clicked in another picture, and a way to have that picture above."""
    identity, token = st.session_state.get(_ELSEWHERE, ("", {}))
    other = next((one for one in others if one.identity == identity), None)
    if other is None or (token["layer"], token["head"]) != shown:
        return
    key = plane_key(url_state)

    def show() -> None:
        state = st.session_state
        names = [one.identity.removeprefix("sample:") for one in (picture, *others) if one is not other]
        state[key] = [name for name in names if name in SAMPLES][:MOST_BESIDE]
        show_sample(url_state, other.identity.removeprefix("sample:"))
        state[_PICKED] = state.pop(_ELSEWHERE)[1]

    st.markdown(elsewhere_words(attention_pass, token, plain(other.title)))
    st.button(f"Show {plain(other.title)} above, and hold it", key="attention.plane.show", icon=":material/swap_vert:", on_click=here(show))


def elsewhere_words(attention_pass: AttentionPass, token: Mapping[str, Any], title: str) -> str:
    """Which point of another picture was clicked."""
    role = "key" if token["reverse"] else "query"
    name = token_name(attention_pass, token["layer"], token["query"], key=token["reverse"])
    the = "the " if name.endswith("token") else ""
    return f"The point is the {role} of {the}**{name}** in {title}, which is not the picture above."


def plane_chart(
    plane: HeadPlane, attention_pass: AttentionPass, layer: int, selected: SelectedToken | None, titles: Sequence[str]
) -> go.Figure:
    """The points, two traces a picture, queries and then keys; the held query or key is ringed."""
    import plotly.graph_objects as go

    from vizlib.figures.charts import framed

    figure = go.Figure()
    for number, (title, queries, keys) in enumerate(zip(titles, plane.queries, plane.keys, strict=True)):
        whose = f" \u00b7 {title}" if len(titles) > 1 else ""
        symbols = ("circle", "diamond") if len(titles) == 1 else (_SYMBOLS[number], f"{_SYMBOLS[number]}-open")
        for role, points, symbol, is_key in (("query", queries, symbols[0], False), ("key", keys, symbols[1], True)):
            names = [f"{token_name(attention_pass, layer, token, key=is_key)}{whose}" for token in range(len(points))]
            here_too = number == 0 and selected is not None and selected.layer == layer and selected.reverse == is_key
            held = selected.query if selected is not None and here_too else None
            kept = {"marker": {"opacity": 0.85}}
            figure.add_scatter(
                x=points[:, 0], y=points[:, 1], mode="markers", name=f"{'queries' if role == 'query' else 'keys'}{whose}", text=names,
                marker={
                    "color": ROLES[role], "symbol": symbol, "size": [16 if token == held else 8 for token in range(len(points))],
                    "line": {"color": [_HELD if token == held else ROLES[role] for token in range(len(points))],
                             "width": [3 if token == held else 1 for token in range(len(points))]},
                },
                selected=kept, unselected=kept, hovertemplate=f"{role} of %{{text}}<extra></extra>",
            )  # fmt: skip
    return framed(figure, height=420, x={"title": "first axis"}, y={"title": "second axis", "scaleanchor": "x"}, legend=True)
