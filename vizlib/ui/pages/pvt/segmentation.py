"""Training-free segmentation on a page: the fused stages of a pyramid against the features of a ViT and a ResNet."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.ui.components.segmentation import segmentation
from vizlib.ui.core import computations
from vizlib.ui.pages.pvt import segmentation_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.engine.jobs import Job
    from vizlib.ui.core.computations import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.pvt.segmentation_data import Segmentation

BESIDE = ("vit_tiny50", "resnet_tiny50")
_FIRST = 4


def submit_segmentations(
    one: ModelChoice, picture: Picture, fit: str | None, side: int
) -> list[tuple[ModelChoice, Job[Segmentation] | None]]:
    """The jobs that group the cells of the pyramid and of what it is held against, all on a grid of ``side`` cells."""
    return [(subject, _submit(f"pvt.field.{index}", subject, picture, fit, side)) for index, subject in enumerate([one, *_beside()])]


def groups_key(url_state: UrlState) -> str:
    """The part of the address that says into how many groups; declared before anything is waited for, or a link would lose it."""
    return url_state.declare("groups", _FIRST, _count)


def draw_segmentations(made: Sequence[Segmentation], picture: Picture, key: str) -> None:
    """The segmentations side by side, and the files; ``key`` is that of the number of groups."""
    state = st.session_state
    if state.get("pvt.groups.told") != state[key]:
        state["pvt.groups.sent"] = state[key]

    def take_groups() -> None:
        chosen = state["pvt.segments"].groups
        if chosen in segmentation_data.COUNTS:
            state[key] = state["pvt.groups.told"] = chosen

    segmentation(
        segmentation_data.pack_segmentation(made, picture.title, state.get("pvt.groups.sent", state[key])),
        key="pvt.segments",
        on_groups=take_groups,
    )
    stem = Path(picture.title).stem.lower().replace(" ", "_")
    count = state[key]
    with st.container(horizontal=True):
        st.download_button(
            "PNG", partial(_png, made, count), f"{stem}-groups.png", "image/png",
            key="pvt.fields.png", icon=":material/image:", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "CSV", partial(_csv, made, count), f"{stem}-groups.csv", "text/csv",
            key="pvt.fields.csv", icon=":material/table:", on_click="ignore",
        )  # fmt: skip


def _submit(slot: str, one: ModelChoice, picture: Picture, fit: str | None, side: int) -> Job[Segmentation] | None:
    return computations.compute(
        slot,
        one,
        picture,
        fit,
        lambda model, progress: segmentation_data.compute_segmentation(model, picture, fit, side, progress),
        str(side),
    )


def _beside() -> list[ModelChoice]:
    return [computations.model_choice(name) for name in BESIDE]


def _count(text: str) -> int:
    value = int(text)
    if value not in segmentation_data.COUNTS:
        raise ValueError(text)
    return value


def _csv(made: Sequence[Segmentation], count: int) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["model", "row", "column", "group"])
    for one in made:
        labels = one.labels[segmentation_data.COUNTS.index(count)]
        writer.writerows([one.title, row, column, int(labels[row, column])] for row, column in np.ndindex(labels.shape))
    return buffer.getvalue()


def _png(made: Sequence[Segmentation], count: int) -> bytes:
    import cv2

    from vizlib.analysis.features.feature_pyramid import boundaries
    from vizlib.figures.overlay import encode_png

    panels = []
    for one in made:
        height, width = one.photo.shape[:2]
        labels = cv2.resize(one.labels[segmentation_data.COUNTS.index(count)], (width, height), interpolation=cv2.INTER_NEAREST)
        between_rows, between_columns = boundaries(labels)
        line = np.zeros((height, width), np.uint8)
        line[1:] |= between_rows
        line[:, 1:] |= between_columns
        panel = one.photo.copy()
        panel[cv2.dilate(line, np.ones((5, 5), np.uint8)) > 0] = 0
        panel[cv2.dilate(line, np.ones((3, 3), np.uint8)) > 0] = (255, 210, 63)
        panels += [panel, np.full((height, 12, 3), 255, np.uint8)]
    shortest = min(panel.shape[0] for panel in panels)
    return encode_png(np.hstack([panel[:shortest] for panel in panels[:-1]]))
