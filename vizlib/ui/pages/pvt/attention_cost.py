"""What attention costs on a page: computed curves, and a measurement that runs beside the page with progress and a stop."""

from __future__ import annotations

import csv
import io
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

import vizlib
from vizlib.analysis.cost.spatial_reduction import Layer
from vizlib.engine.jobs import JobState, Worker
from vizlib.engine.memory import available_memory
from vizlib.ui.components.attention_cost import attention_cost
from vizlib.ui.core import computations
from vizlib.ui.core.model_service import visitor

if TYPE_CHECKING:
    from vizlib.analysis.cost.spatial_reduction_timing import Measurement
    from vizlib.engine.jobs import Job, Progress
    from vizlib.ui.core.computations import ModelChoice
    from vizlib.ui.sections.reduced_keys_data import ReducedKeys

SLOT = "pvt.measure"
SHARE = 0.5  # of the memory that is free: other visitors need some too
MOST_BYTES = 4 << 30
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """What a measurement found."""

    rows: tuple[Measurement, ...]

    @property
    def nbytes(self) -> int:
        """Next to nothing."""
        return 200 * len(self.rows)


def draw_attention_cost(made: ReducedKeys, one: ModelChoice) -> None:
    """The chart of every stage's layer, the button that measures the first one's, and the file."""
    layers = [Layer(**layer) for layer in made.facts["layers"]]
    job: Job[Measured] | None = st.session_state.get(SLOT, {}).get(layers[0])
    found = list(job.result().rows) if job is not None and job.state is JobState.DONE else []
    attention_cost(layers, found, 0, _free(), key="pvt.costs")
    with st.container(horizontal=True, vertical_alignment="center"):
        if job is None or job.done:
            st.button(
                "Measure on this machine" if not found else "Measure again", key="pvt.measure.start", icon=":material/speed:",
                on_click=_start, args=(layers[0],),
                help="Runs the attention layer of the first stage alone, from 224 to 2,048 px, in all four kinds. What would take more "
                "than four seconds or too much memory is left out, and says so.",
            )  # fmt: skip
        if found:
            st.download_button(
                "CSV", partial(_csv, found), f"{one.name}-attention-cost.csv", "text/csv",
                key="pvt.cost.csv", icon=":material/table:", on_click="ignore",
            )  # fmt: skip
    if job is not None and not job.done:
        computations.result_or_status(SLOT, one, job)
    elif job is not None and not found:
        _draw_end(job)


def _draw_end(job: Job[Measured]) -> None:
    error = job.exception()
    if error is None:
        st.info("Stopped.", icon=":material/stop_circle:")
        return
    _log.error("Attention could not be measured", exc_info=error)
    st.error(
        str(error) if isinstance(error, vizlib.VizlibError) else "The measurement failed inside vizlib; the server's log says why.",
        icon=":material/error:",
    )


def _free() -> int:
    # To two digits: every byte that comes and goes would be a new message to the browser.
    free = available_memory()
    step = 10 ** max(0, len(str(free)) - 2)
    return free // step * step


def _start(layer: Layer) -> None:
    st.session_state[SLOT] = {layer: _worker().submit(visitor(), _measure, layer)}


def _measure(layer: Layer, progress: Progress) -> Measured:
    from vizlib.analysis.cost.spatial_reduction_timing import Budget, measure

    budget = Budget(bytes=min(MOST_BYTES, int(available_memory() * SHARE)))
    return Measured(tuple(measure(layer, budget=budget, progress=progress)))


@st.cache_resource(show_spinner=False)
def _worker() -> Worker:
    """A thread of its own: a measurement takes half a minute, and answers must not wait for it."""
    return Worker(name="measure")


def _csv(found: list[Measurement]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["attention", "fused", "side_px", "seconds", "peak_bytes", "why_not"])
    for one in found:
        writer.writerow([one.kind, one.fused, one.side, "" if one.seconds is None else repr(one.seconds), one.peak_bytes or "", one.why])
    return buffer.getvalue()
