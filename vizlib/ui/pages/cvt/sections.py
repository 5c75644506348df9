"""The sections of the CvT page: the projections, what squeezing does, and what shuffling and shifting do."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.ui.components.conv_projection import conv_projection
from vizlib.ui.components.shuffle_shift import shuffle_shift
from vizlib.ui.core import computations, formatting
from vizlib.ui.pages.cvt import projection_data, shuffle_shift_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.engine.jobs import Job
    from vizlib.ui.core.computations import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.pages.cvt.projection_data import Projections
    from vizlib.ui.pages.cvt.shuffle_shift_data import ShuffleShift
    from vizlib.ui.sections.feature_pyramid_data import FeaturePyramid


def overlap(made: FeaturePyramid) -> str:
    """How the windows of every stage overlap, in a sentence with this model's numbers."""
    parts = []
    for index, level in enumerate(made.levels):
        stride = max(1, round(level["below"][0] / level["grid"][0]))
        what = "pixel" if index == 0 else "cell"
        often = (level["window"] / stride) ** 2
        parts.append(
            f"stage {index + 1} takes windows of {level['window']} × {level['window']} every {stride} {what}s, so a {what} lies in "
            f"{often:.1f} of them on average"
        )
    return f"Tokens come from windows that overlap: {'; '.join(parts)}. The class token joins only in the last stage."


def submit_projections(one: ModelChoice, picture: Picture, fit: str | None) -> Job[Projections] | None:
    """The job that reads every block's projections."""
    return computations.compute(
        "cvt.maps", one, picture, fit, lambda model, progress: projection_data.compute_projections(model, picture, fit, progress)
    )


def draw_projections(made: Projections, one: ModelChoice, picture: Picture) -> None:
    """The component over kernels and maps, and their numbers as a file."""
    conv_projection(projection_data.pack_conv_projection(made), key="cvt.projection")
    st.download_button(
        "CSV", partial(_kernels_csv, made), f"{_stem(picture, one)}-kernels.csv", "text/csv",
        key="cvt.kernels.csv", icon=":material/table:", on_click="ignore",
        help="Every kernel that is drawn, with the gain of its batch norm.",
    )  # fmt: skip


def draw_squeezed(made: Projections) -> None:
    """A table of what the stride of keys and values does in every block."""
    rows = ["| block | keys | without stride | multiply-adds of attention saved | the block's output moves by |", "|---|---|---|---|---|"]
    rows += [
        f"| {name} | {found.keys:,} | {found.all_keys:,} | {formatting.percent(found.saved)} | {formatting.percent(found.change)} |"
        for name, found in made.squeezed
    ]
    with st.expander("What squeezing costs, block by block", icon=":material/compress:"):
        st.markdown(
            "Each block's attention was run once more on this picture with the same weights and stride 1, so that every cell is a key. "
            "The last column is how far the output of the attention lies from that, relative to its length."
        )
        st.markdown("\n".join(rows))


def submit_shuffle_shift(one: ModelChoice, picture: Picture, fit: str | None) -> list[tuple[ModelChoice, Job[ShuffleShift] | None]]:
    """The jobs that shuffle and shift the picture, for the model and for a ViT."""
    pair = [one, computations.model_choice("vit_tiny50")]
    return [(subject, _submit_shuffle_shift(f"cvt.moves.{index}", subject, picture, fit)) for index, subject in enumerate(pair)]


def draw_shuffle_shift(made: Sequence[ShuffleShift], one: ModelChoice, picture: Picture) -> None:
    """The component over all moves, and their numbers as a file."""
    shuffle_shift(shuffle_shift_data.pack_shuffle_shift(made), key="cvt.moved")
    st.download_button(
        "CSV", partial(_moves_csv, made), f"{_stem(picture, one)}-moves.csv", "text/csv",
        key="cvt.moves.csv", icon=":material/table:", on_click="ignore",
    )  # fmt: skip


def _submit_shuffle_shift(slot: str, one: ModelChoice, picture: Picture, fit: str | None) -> Job[ShuffleShift] | None:
    return computations.compute(
        slot, one, picture, fit, lambda model, progress: shuffle_shift_data.compute_shuffle_shift(model, picture, fit, progress)
    )


def _stem(picture: Picture, one: ModelChoice) -> str:
    return f"{Path(picture.title).stem}-{one.name}".lower().replace(" ", "_")


def _kernels_csv(made: Projections) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["stage", "block", "part", "channel", *(f"k{row}{column}" for row in range(3) for column in range(3))])
    for index, block in enumerate(made.facts["blocks"]):
        for part in ("q", "k", "v"):
            for channel, kernel in enumerate(made.arrays[f"{index}.{part}.kernel"]):
                writer.writerow([block["stage"], block["block"], part, channel, *(repr(float(weight)) for weight in kernel)])
    return buffer.getvalue()


def _moves_csv(made: Sequence[ShuffleShift]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["model", "move", "answer_distance", "same_first_answer", "token_cosine"])
    for row in (row for one in made for row in one.rows):
        moves = [
            (f"{tiles} x {tiles} patches shuffled", found) for tiles, found in zip(shuffle_shift_data.TILES, row["shuffled"], strict=True)
        ]
        moves += [(f"shifted right by {step}/64 of the width", found) for step, found in enumerate(row["shifted"])]
        for name, found in moves:
            tokens = "" if found["tokens"] is None else repr(found["tokens"])
            writer.writerow([row["title"], name, repr(found["distance"]), repr(found["same"]), tokens])
    return buffer.getvalue()
