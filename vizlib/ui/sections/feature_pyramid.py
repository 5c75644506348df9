"""The pyramid on a page: every stage at its true scale, what it holds in numbers, and what to take away."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vizlib.figures.numbers import percent
from vizlib.ui.components.feature_pyramid import VIEWS, feature_pyramid
from vizlib.ui.core import computations, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.model_choice import model_choice
from vizlib.ui.core.tables import to_csv
from vizlib.ui.core.url_state import one_of
from vizlib.ui.sections import feature_pyramid_data
from vizlib.ui.widgets.downloads import download_row, file_stem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.sections.feature_pyramid_data import FeaturePyramid

RANDOM = "Choose random weights above to see its architecture at work."


def submit_feature_pyramid(slot: str, model: ModelChoice, picture: Picture, fit: str | None) -> Job[FeaturePyramid] | None:
    """The job that looks at every stage of a model."""
    return computations.compute(
        slot,
        ("feature_pyramid", picture.identity, fit),
        [model],
        partial(feature_pyramid_data.compute_feature_pyramid, picture=picture, fit=fit),
    )


def pyramid_or_status(
    page: str, model: ModelChoice, picture: Picture, fit: str | None, view: str, words: Callable[[FeaturePyramid], str] | None = None
) -> FeaturePyramid | None:
    """Draw the model's pyramid beside a ViT's one grid, and ``words`` about it below; until it is there, why not. ``view`` is a key."""
    vit = model_choice("vit_tiny50")
    jobs = [
        submit_feature_pyramid(f"{page}.stages", model, picture, fit),
        submit_feature_pyramid(f"{page}.beside", vit, picture, fit),
    ]
    job_slots.wait_for(jobs)
    pyramid = computations.result_or_status(f"{page}.stages", jobs[0], [model], RANDOM)
    if pyramid is None:
        return None
    beside = computations.result_or_status(f"{page}.beside", jobs[1], [vit])
    if beside is not None and beside.facts["size"] != pyramid.facts["size"]:
        st.caption(other_input(pyramid, beside))
        beside = None
    draw_feature_pyramid(page, pyramid, beside, model, picture, view)
    if words is not None:
        st.markdown(words(pyramid))
    return pyramid


def other_input(pyramid: FeaturePyramid, beside: FeaturePyramid) -> str:
    """Why no grid stands beside the stages: it would be of another input."""
    own, other = (" × ".join(map(str, group.facts["size"])) for group in (pyramid, beside))
    return (
        f"{pyramid.facts['title']} takes {own} pixels here and {beside.facts['title']} {other}, so the one grid of "
        f"{beside.facts['title']} is left out: grids are compared on the same input only."
    )


def view_key(url_state: UrlState) -> str:
    """The part of the address that says what is drawn of each stage; declared before anything is waited for, or a link would lose it."""
    return url_state.declare("view", VIEWS[0], one_of(VIEWS))


def draw_feature_pyramid(
    page: str, pyramid: FeaturePyramid, beside: FeaturePyramid | None, model: ModelChoice, picture: Picture, key: str
) -> None:
    """The component over all stages, the table of numbers, and the files; ``key`` is that of the view."""
    state = st.session_state
    # The view goes to the browser only when a link set it: what the browser itself chose must not come back as a new message.
    received, sent = f"{page}.received", f"{page}.sent"
    if state.get(received) != state[key]:
        state[sent] = state[key]
    groups = [pyramid] if beside is None else [pyramid, beside]

    def take_view() -> None:
        chosen = state[f"{page}.pyramid"].view
        if chosen in VIEWS:
            state[key] = state[received] = chosen

    feature_pyramid(_pack(page, groups, picture.title, state.get(sent, state[key])), key=f"{page}.pyramid", on_view=here(take_view))
    with st.expander("Energy, scale by scale", icon=":material/equalizer:"):
        st.markdown(_energy_words(pyramid))
        st.markdown(_table(groups))
    download_row(
        file_stem(picture, model),
        page,
        ("-stages.png", partial(_png, groups, state[key]), ""),
        ("-stages.csv", partial(_csv, groups), "Every cell of every stage: its norm and its share of the rollout."),
    )


def _pack(page: str, groups: Sequence[FeaturePyramid], title: str, view: str) -> bytes:
    # Packing a megabyte anew on every rerun would cost more than the rerun.
    packed: tuple[Any, bytes] | None = st.session_state.get(f"{page}.packed")
    key = (tuple(id(group) for group in groups), title, view)
    if packed is None or packed[0] != key:
        packed = st.session_state[f"{page}.packed"] = (key, feature_pyramid_data.pack_feature_pyramid(groups, title, view))
    return packed[1]


def _energy_words(pyramid: FeaturePyramid) -> str:
    first, last = pyramid.levels[0], pyramid.levels[-1]
    return (
        "The energy of a stage is the mean square of its features. It splits exactly by the size of what carries it: what is constant "
        "over the picture, then what blocks of cells add as they halve down to single cells. In the first stage "
        f"**{percent(first['octaves'][-1])}** sits in single cells of {first['cell']} px, in the last one "
        f"**{percent(last['octaves'][-1])}** in cells of {last['cell']} px, "
        f"and **{percent(last['octaves'][0])}** of the last is the same everywhere."
    )


def _table(groups: Sequence[FeaturePyramid]) -> str:
    rows = [
        "| | grid | channels | energy | channels for 90 % of it | constant | blocks in between | single cells |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group in groups:
        for index, level in enumerate(group.levels):
            name = f"{group.facts['title']}{f', stage {index + 1}' if len(group.levels) > 1 else ''}".replace(" ", "\u00a0")
            shares = level["octaves"]
            between = sum(shares[1:-1])
            height, width = level["grid"]
            cells = [
                name, f"{height}\u00a0×\u00a0{width}", str(level["channels"]), f"{level['energy']:.3g}", str(level["channels_for"]),
                percent(shares[0]), percent(between), percent(shares[-1]) if len(shares) > 1 else "",
            ]  # fmt: skip
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _csv(groups: Sequence[FeaturePyramid]) -> str:
    def rows() -> Iterator[list[Any]]:
        for group in groups:
            for index, level in enumerate(group.levels):
                norm, rollout = group.arrays[f"{index}.norm"], group.arrays.get(f"{index}.rollout")
                for row, column in np.ndindex(norm.shape):
                    share = None if rollout is None else float(rollout[row, column])
                    yield [group.facts["title"], index + 1, level["block"], row, column, float(norm[row, column]), share]

    return to_csv(["model", "stage", "block", "row", "column", "norm", "rollout_share"], rows())


def _png(groups: Sequence[FeaturePyramid], view: str, side: int = 320) -> bytes:
    """The panels in one row, 320 px high: the picture, then every stage drawn as ``view``; one that needs a hand is drawn in colours."""
    import cv2
    from PIL import Image

    from vizlib.figures.overlay import encode_png

    height, width = groups[0].facts["size"]
    shape = (side * width // height, side)
    photo = np.asarray(Image.open(io.BytesIO(groups[0].arrays["photo"].tobytes())))
    panels = [cv2.resize(photo, shape, interpolation=cv2.INTER_AREA)]
    for group in groups:
        panels += [_level_picture(group, index, view, shape) for index in range(len(group.levels))]
    gap = np.full((side, 12, 3), 255, np.uint8)
    return encode_png(np.hstack([part for panel in panels for part in (panel, gap)][:-1]))


def _level_picture(group: FeaturePyramid, index: int, view: str, shape: tuple[int, int]) -> np.ndarray:
    import cv2

    from vizlib.figures.overlay import coloured

    def get(name: str) -> np.ndarray | None:
        return group.arrays.get(f"{index}.{name}")

    picture = get("pca")
    if view == "norm" and (norm := get("norm")) is not None:
        picture = coloured(norm, low=float(norm.min()))
    elif view == "rollout" and (rollout := get("rollout")) is not None:
        picture = coloured(rollout)
    elif view == "channels" and (values := get("values")) is not None and (order := get("order")) is not None:
        tall, wide = group.levels[index]["grid"]
        count = int(np.ceil(np.sqrt(len(order))))
        mosaic = np.zeros((count * tall, count * wide))
        for tile, channel in enumerate(order):
            top, left = tile // count * tall, tile % count * wide
            mosaic[top : top + tall, left : left + wide] = values[channel].reshape(tall, wide)
        picture = coloured(mosaic)
    return cv2.resize(np.ascontiguousarray(picture), shape, interpolation=cv2.INTER_NEAREST)
