"""What attention costs on a page: computed curves, and a measurement that runs beside the page with progress and a stop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.analysis.cost.spatial_reduction import Layer
from vizlib.engine.jobs import JobState
from vizlib.engine.memory import available_memory
from vizlib.engine.work_order import Lane
from vizlib.ui.components.attention_cost import attention_cost
from vizlib.ui.core import computations, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.tables import to_csv
from vizlib.ui.pages.pvt.attention_cost_work import measure_attention
from vizlib.ui.widgets.downloads import download_button, file_stem

if TYPE_CHECKING:
    from vizlib.analysis.cost.measurement import Measurement
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.sections.reduced_keys_data import ReducedKeys

SLOT = "pvt.measure"


def draw_attention_cost(keys: ReducedKeys, model: ModelChoice) -> None:
    """The chart of every stage's layer, the button that measures the first one's, and the file."""
    layers = [Layer(**layer) for layer in keys.facts["layers"]]
    job: Job[list[Measurement]] | None = job_slots.job_in(SLOT) if job_slots.holds(SLOT, computations.slot_key(layers[0], ())) else None
    rows = job.result() if job is not None and job.state is JobState.DONE else []
    attention_cost(layers, rows, 0, _free(), key="pvt.costs")
    with st.container(horizontal=True, vertical_alignment="center"):
        if job is None or job.done:
            st.button(
                "Measure again" if rows else "Measure on this machine", key="pvt.measure.start", icon=":material/speed:",
                on_click=here(_start), args=(layers[0],),
                help="Runs the attention layer of the first stage alone, from 224 to 2,048 px, in all four kinds. What would take more "
                "than four seconds or too much memory is left out, and says so.",
            )  # fmt: skip
        if rows:
            download_button(f"{file_stem(model)}-attention-cost.csv", partial(_csv, rows), key="pvt.cost.csv")
    if job is not None and not rows:
        job_slots.result_or_status(SLOT, job)


def _free() -> int:
    # To two digits: every byte that comes and goes would be a new message to the browser.
    free = available_memory()
    step = 10 ** max(0, len(str(free)) - 2)
    return free // step * step


def _start(layer: Layer) -> None:
    job_slots.drop(SLOT)
    computations.compute(SLOT, layer, (), partial(measure_attention, layer), keep=False, lane=Lane.HEAVY)


def _csv(rows: list[Measurement]) -> str:
    return to_csv(
        ["attention", "fused", "side_px", "seconds", "peak_bytes", "why_not"],
        ([row.kind, row.fused, row.side, row.seconds, row.peak_bytes or None, row.why] for row in rows),
    )
