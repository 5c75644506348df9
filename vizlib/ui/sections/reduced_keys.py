"""Attention to a reduced grid on a page: who looks at which key, and what a key gathers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vizlib.ui.components.reduced_keys import reduced_keys
from vizlib.ui.core import computations
from vizlib.ui.core.tables import to_csv
from vizlib.ui.sections import reduced_keys_data
from vizlib.ui.widgets.downloads import download_button, file_stem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.sections.reduced_keys_data import ReducedKeys


def submit_reduced_keys(slot: str, model: ModelChoice, picture: Picture, fit: str | None) -> Job[ReducedKeys] | None:
    """The job that reads the last attention of every stage."""
    return computations.compute(
        slot,
        ("reduced_keys", picture.identity, fit),
        [model],
        partial(reduced_keys_data.compute_reduced_keys, picture=picture, fit=fit),
    )


def draw_reduced_keys(page: str, keys: ReducedKeys, model: ModelChoice, picture: Picture) -> None:
    """The component and its file; stages with too many weights to send are named."""
    if keys.facts["sites"]:
        reduced_keys(reduced_keys_data.pack_reduced_keys(keys, picture.title), key=f"{page}.reduced")
        download_button(
            f"{file_stem(picture, model)}-keys.csv",
            partial(_csv, keys),
            key=f"{page}.keys.csv",
            hint="For every key of every stage: where it lies, and the mean weight that all tokens of the stage give it.",
        )
    if keys.left_out:
        st.info(f"Too many weights to send to a browser: {', '.join(keys.left_out)}.", icon=":material/info:")


def _csv(keys: ReducedKeys) -> str:
    def rows() -> Iterator[list[Any]]:
        for index, site in enumerate(keys.facts["sites"]):
            weights = keys.arrays[f"{index}.levels"] * (keys.arrays[f"{index}.peaks"][..., None] / 65535)
            mean = weights.mean((0, 1))[site["prefix"] :].reshape(site["keys"])
            cells = (keys.arrays[f"{index}.shares"] > 0).sum((1, 2)).reshape(site["keys"])
            for row, column in np.ndindex(mean.shape):
                yield [site["stage"], site["name"], row, column, float(mean[row, column]), int(cells[row, column])]

    return to_csv(["stage", "attention", "key_row", "key_column", "mean_weight", "cells_gathered"], rows())
