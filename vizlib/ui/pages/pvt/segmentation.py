"""Training-free segmentation on a page: the fused stages of a pyramid against the features of a ViT and a ResNet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.ui.components.segmentation import segmentation
from vizlib.ui.core import computations
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.model_choice import model_choice
from vizlib.ui.core.tables import to_csv
from vizlib.ui.pages.pvt import segmentation_data
from vizlib.ui.widgets.downloads import download_row, file_stem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.pvt.segmentation_data import Segmentation

BESIDE = ("vit_tiny50", "resnet_tiny50")
_FIRST = 4


def segmentations_or_status(model: ModelChoice, picture: Picture, fit: str | None, side: int) -> list[Segmentation]:
    """The groups of the pyramid's cells, then of what it is held against, all on a grid of ``side`` cells; nothing before the first."""
    models = [model, *map(model_choice, BESIDE)]
    jobs = [_submit(f"pvt.field.{index}", each, picture, fit, side) for index, each in enumerate(models)]
    results = [
        computations.result_or_status(f"pvt.field.{index}", job, [each]) for index, (each, job) in enumerate(zip(models, jobs, strict=True))
    ]
    return [result for result in results if result is not None] if results[0] is not None else []


def groups_key(url_state: UrlState) -> str:
    """The part of the address that says into how many groups; declared before anything is waited for, or a link would lose it."""
    return url_state.declare("groups", _FIRST, _count)


def draw_segmentations(fields: Sequence[Segmentation], picture: Picture, key: str) -> None:
    """The segmentations side by side, and the files; ``key`` is that of the number of groups."""
    state = st.session_state
    if state.get("pvt.groups.received") != state[key]:
        state["pvt.groups.sent"] = state[key]

    def take_groups() -> None:
        chosen = state["pvt.segments"].groups
        if chosen in segmentation_data.COUNTS:
            state[key] = state["pvt.groups.received"] = chosen

    segmentation(
        segmentation_data.pack_segmentation(fields, picture.title, state.get("pvt.groups.sent", state[key])),
        key="pvt.segments",
        on_groups=here(take_groups),
    )
    count = state[key]
    download_row(
        file_stem(picture), "pvt", ("-groups.png", partial(_png, fields, count), ""), ("-groups.csv", partial(_csv, fields, count), "")
    )


def _submit(slot: str, model: ModelChoice, picture: Picture, fit: str | None, side: int) -> Job[Segmentation] | None:
    return computations.compute(
        slot,
        ("segmentation", picture.identity, fit, side),
        [model],
        partial(segmentation_data.compute_segmentation, picture=picture, fit=fit, side=side),
    )


def _count(text: str) -> int:
    value = int(text)
    if value not in segmentation_data.COUNTS:
        raise ValueError(text)
    return value


def _csv(fields: Sequence[Segmentation], count: int) -> str:
    index = segmentation_data.COUNTS.index(count)
    rows = ([field.title, *cell, int(field.labels[index][cell])] for field in fields for cell in np.ndindex(field.labels.shape[1:]))
    return to_csv(["model", "row", "column", "group"], rows)


def _png(fields: Sequence[Segmentation], count: int) -> bytes:
    import cv2

    from vizlib.analysis.features.boundaries import boundaries
    from vizlib.figures.overlay import encode_png

    panels = []
    for field in fields:
        height, width = field.photo.shape[:2]
        labels = cv2.resize(field.labels[segmentation_data.COUNTS.index(count)], (width, height), interpolation=cv2.INTER_NEAREST)
        between_rows, between_columns = boundaries(labels)
        line = np.zeros((height, width), np.uint8)
        line[1:] |= between_rows
        line[:, 1:] |= between_columns
        panel = field.photo.copy()
        panel[cv2.dilate(line, np.ones((5, 5), np.uint8)) > 0] = 0
        panel[cv2.dilate(line, np.ones((3, 3), np.uint8)) > 0] = (255, 210, 63)
        panels += [panel, np.full((height, 12, 3), 255, np.uint8)]
    shortest = min(panel.shape[0] for panel in panels)
    return encode_png(np.hstack([panel[:shortest] for panel in panels[:-1]]))
