"""The CvT page from top to bottom: overlapping windows, projections, squeezed keys, and what shuffling and shifting do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.claims import of_untrained
from vizlib.figures.numbers import percent
from vizlib.ui.components.conv_projection import conv_projection
from vizlib.ui.components.shuffle_shift import shuffle_shift
from vizlib.ui.core import computations, job_slots
from vizlib.ui.core.contents import heading
from vizlib.ui.core.model_choice import model_choice
from vizlib.ui.core.tables import to_csv
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.cvt import claims, projection_data, shuffle_shift_data, text
from vizlib.ui.sections import feature_pyramid, reduced_keys
from vizlib.ui.sections.toy import draw_toy
from vizlib.ui.widgets.claim_card import draw_claim
from vizlib.ui.widgets.downloads import download_button, file_stem
from vizlib.ui.widgets.snippet import draw_snippet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.cvt.projection_data import Projections
    from vizlib.ui.pages.cvt.shuffle_shift_data import ShuffleShift
    from vizlib.ui.sections.feature_pyramid_data import FeaturePyramid


def draw_page(model: ModelChoice, picture: Picture, fit: str | None, url_state: UrlState) -> None:
    """Every section, as far as its numbers are there."""
    view = feature_pyramid.view_key(url_state)
    if feature_pyramid.pyramid_or_status("cvt", model, picture, fit, view, overlap) is None:
        return
    heading("A convolution makes q, k and v")
    draw_text(text.PROJECTION)
    projections = computations.compute_or_status(
        "cvt.maps",
        ("projections", picture.identity, fit),
        [model],
        partial(projection_data.compute_projections, picture=picture, fit=fit),
    )
    if projections is not None:
        draw_projections(projections, model, picture)
        draw_toy("cvt")
        heading("Keys on a squeezed grid")
        draw_text(text.KEYS)
        job = reduced_keys.submit_reduced_keys("cvt.keys", model, picture, fit)
        job_slots.wait_for([job])
        keys = computations.result_or_status("cvt.keys", job, [model])
        if keys is not None:
            reduced_keys.draw_reduced_keys("cvt", keys, model, picture)
        draw_squeezed(projections, model)
    heading("No table of positions")
    draw_text(text.MOVED)
    models = [model, model_choice("vit_tiny50")]
    jobs = [submit_shuffle_shift(f"cvt.moves.{index}", each, picture, fit) for index, each in enumerate(models)]
    shifts = [
        computations.result_or_status(f"cvt.moves.{index}", job, [each]) for index, (each, job) in enumerate(zip(models, jobs, strict=True))
    ]
    if all(shift is not None for shift in shifts):
        draw_shuffle_shift([shift for shift in shifts if shift is not None], model, picture)
    draw_snippet(text.snippet(model, picture, fit))


def overlap(pyramid: FeaturePyramid) -> str:
    """How the windows of every stage overlap, in a sentence with this model's numbers."""
    parts = []
    for index, level in enumerate(pyramid.levels):
        stride = max(1, round(level["below"][0] / level["grid"][0]))
        what = "pixel" if index == 0 else "cell"
        parts.append(
            f"stage {index + 1} takes windows of {level['window']} × {level['window']} every {stride} {what}s, so a {what} lies in "
            f"{level['overlap']:.2f} of them on average"
        )
    return f"Tokens come from windows that overlap: {'; '.join(parts)}. The class token joins only in the last stage."


def draw_projections(projections: Projections, model: ModelChoice, picture: Picture) -> None:
    """The component over kernels and maps, and their numbers as a file."""
    conv_projection(projection_data.pack_conv_projection(projections), key="cvt.projection")
    download_button(
        f"{file_stem(picture, model)}-kernels.csv", partial(_kernels_csv, projections), key="cvt.kernels.csv",
        hint="Every kernel that is drawn, with the gain of its batch norm.",
    )  # fmt: skip


def draw_squeezed(projections: Projections, model: ModelChoice) -> None:
    """A table of what the stride of keys and values does in every block."""
    rows = ["| layer | keys | without stride | multiply-adds of attention saved | the layer's output moves by |", "|---|---|---|---|---|"]
    rows += [
        f"| {name} | {block.keys:,} | {block.all_keys:,} | {percent(block.saved)} | {percent(block.change)} |"
        for name, block in projections.squeezed
    ]
    with st.expander("What squeezing costs, layer by layer", icon=":material/compress:"):
        st.markdown(
            "Each layer's attention was run once more on this picture with the same weights and stride 1, so that every cell is a key. "
            "The last column is how far the output of the attention lies from that, relative to its length."
        )
        st.markdown("\n".join(rows))
    claim = claims.squeezing_claim(projections.squeezed)
    draw_claim(of_untrained(claim) if model.random else claim, claims.CASE)


def submit_shuffle_shift(slot: str, model: ModelChoice, picture: Picture, fit: str | None) -> Job[ShuffleShift] | None:
    """The job that shuffles and shifts the picture."""
    return computations.compute(
        slot,
        ("shuffle_shift", picture.identity, fit),
        [model],
        partial(shuffle_shift_data.compute_shuffle_shift, picture=picture, fit=fit),
    )


def draw_shuffle_shift(shifts: Sequence[ShuffleShift], model: ModelChoice, picture: Picture) -> None:
    """The component over all moves, and their numbers as a file."""
    shuffle_shift(shuffle_shift_data.pack_shuffle_shift(shifts), key="cvt.moved")
    rows = [row for shift in shifts for row in shift.rows]
    if len(rows) > 1:
        claim = claims.positions_claim(rows[0], rows[-1])
        draw_claim(of_untrained(claim) if model.random else claim, claims.CASE)
    download_button(f"{file_stem(picture, model)}-moves.csv", partial(_moves_csv, shifts), key="cvt.moves.csv")


def _kernels_csv(projections: Projections) -> str:
    columns = ["stage", "block", "part", "channel", *(f"k{row}{column}" for row in range(3) for column in range(3))]
    rows = (
        [block["stage"], block["block"], part, channel, *map(float, kernel)]
        for index, block in enumerate(projections.facts["blocks"])
        for part in ("q", "k", "v")
        for channel, kernel in enumerate(projections.arrays[f"{index}.{part}.kernel"])
    )
    return to_csv(columns, rows)


def _moves_csv(shifts: Sequence[ShuffleShift]) -> str:
    def rows() -> Iterator[list[Any]]:
        for row in (row for shift in shifts for row in shift.rows):
            moves = [
                (f"{tiles} x {tiles} patches shuffled", effect)
                for tiles, effect in zip(shuffle_shift_data.TILES, row["shuffled"], strict=True)
            ]
            moves += [(f"shifted right by {step}/64 of the width", effect) for step, effect in enumerate(row["shifted"])]
            for name, effect in moves:
                yield [row["title"], name, effect["distance"], effect["same"], effect["tokens"]]

    return to_csv(["model", "move", "answer_distance", "same_first_answer", "token_cosine"], rows())
