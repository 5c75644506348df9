"""Attention to a reduced grid on a page: who looks at which key, and what a key gathers."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.ui.components.reduced_keys import reduced_keys
from vizlib.ui.core import computations
from vizlib.ui.sections import reduced_keys_data

if TYPE_CHECKING:
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.computations import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.sections.reduced_keys_data import ReducedKeys


def submit_reduced_keys(slot: str, one: ModelChoice, picture: Picture, fit: str | None) -> Job[ReducedKeys] | None:
    """The job that reads the last attention of every stage."""
    return computations.compute(
        slot, one, picture, fit, lambda model, progress: reduced_keys_data.compute_reduced_keys(model, picture, fit, progress)
    )


def draw_reduced_keys(page: str, made: ReducedKeys, one: ModelChoice, picture: Picture) -> None:
    """The component and its file; stages with too many weights to send are named."""
    if made.facts["sites"]:
        reduced_keys(reduced_keys_data.pack_reduced_keys(made, picture.title), key=f"{page}.reduced")
        stem = f"{Path(picture.title).stem}-{one.name}".lower().replace(" ", "_")
        st.download_button(
            "CSV", partial(_csv, made), f"{stem}-keys.csv", "text/csv", key=f"{page}.keys.csv", icon=":material/table:", on_click="ignore",
            help="For every key of every stage: where it lies, and the mean weight that all tokens of the stage give it.",
        )  # fmt: skip
    if made.left_out:
        st.info(f"Too many weights to send to a browser: {', '.join(made.left_out)}.", icon=":material/info:")


def _csv(made: ReducedKeys) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["stage", "attention", "key_row", "key_column", "mean_weight", "cells_gathered"])
    for index, site in enumerate(made.facts["sites"]):
        weights = made.arrays[f"{index}.levels"] * (made.arrays[f"{index}.peaks"][..., None] / 65535)
        mean = weights.mean((0, 1))[site["prefix"] :].reshape(site["keys"])
        cells = (made.arrays[f"{index}.shares"] > 0).sum((1, 2)).reshape(site["keys"])
        for row, column in np.ndindex(mean.shape):
            writer.writerow([site["stage"], site["name"], row, column, repr(float(mean[row, column])), int(cells[row, column])])
    return buffer.getvalue()
