"""The two problems that attention solved, measured while the visitor watches: accuracy by length, gradient by distance."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.engine.jobs import JobState
from vizlib.engine.work_order import Lane
from vizlib.seq2seq.cards import NAMES
from vizlib.seq2seq.task_registry import TASKS
from vizlib.ui.core import computations, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.contents import heading
from vizlib.ui.core.looks import drawn_every
from vizlib.ui.core.tables import to_csv
from vizlib.ui.core.url_state import one_of, resend, some_of
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.seq2seq import text as words
from vizlib.ui.pages.seq2seq.choices import first_of, of_task
from vizlib.ui.pages.seq2seq.claims import bottleneck_claim, gradient_claim
from vizlib.ui.pages.seq2seq.length_work import Counts, compute_counts
from vizlib.ui.pages.seq2seq.translator_service import SLOT
from vizlib.ui.widgets.claim_card import draw_claims
from vizlib.ui.widgets.downloads import download_button, file_stem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import plotly.graph_objects as go

    from vizlib.claims import Claim
    from vizlib.engine.jobs import Job
    from vizlib.seq2seq.task_base import Task
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.seq2seq.choices import TranslationRequest

SLOT_MEASURE = SLOT + "measure"
ROUNDS, CHUNK = 5, 10  # a round adds this many texts of every length, for every model
GRADIENTS = 20  # texts for the gradients of a model
MOST_MODELS = 4
SHOWS_BOTH = "reversal"
WHOLE, CHARACTERS = "whole", "characters"
_TALLY = "seq2seq.tally"
_BEAT = 0.7  # seconds between two drawings while it runs
_HEIGHT = 360


@dataclass
class Tally:
    """What was counted so far for some models of a task: by the measurements that ended, and by the one that goes on."""

    task: str
    names: tuple[str, ...]
    seeds: list[int] = field(default_factory=list)
    ended: Counts = field(default_factory=Counts)
    latest: Counts = field(default_factory=Counts)

    @property
    def counts(self) -> Counts:
        """All of it together."""
        return self.ended.plus(self.latest)

    @property
    def right(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Right answers and texts by model and length."""
        return self.counts.right

    @property
    def gradients(self) -> dict[str, list[tuple[float, float, float, float]]]:
        """The gradient's (distance, mean, low, high) by model."""
        return self.counts.gradients

    def begin(self, seed: int) -> None:
        """Another measurement begins."""
        self.ended, self.latest = self.counts, Counts()
        self.seeds.append(seed)

    def take(self, job: Job[Counts]) -> None:
        """What the measurement under way, or just ended, has counted."""
        self.latest = job.result() if job.state is JobState.DONE else job.progress.shared or self.latest

    def accuracy(self, name: str) -> list[tuple[int, int, int, float, float]]:
        """Of a model, by length: (length, right, texts, low, high), the 95 % interval of Wilson as shares."""
        from vizlib.stats import wilson

        counts = sorted((length, *count) for (model, length), count in self.right.items() if model == name)
        return [(length, right, samples, *wilson(right, samples)) for length, right, samples in counts]

    def characters(self, name: str) -> list[tuple[int, float, int, float, float]]:
        """Of a model, by length: (length, sum over texts of the share of characters in their place, texts, low, high).

        The interval is Wilson's of that share among the texts: no share between 0 and 1 varies more from text to text.
        """
        from vizlib.stats import wilson

        sums = sorted((length, total) for (model, length), total in self.counts.placed.items() if model == name)
        texts = {length: samples for length, _, samples, *_ in self.accuracy(name)}
        return [(length, total, texts[length], *wilson(total, texts[length])) for length, total in sums]


@dataclass(frozen=True)
class StudyKeys:
    """The keys of what is measured: the task, the models, and whether whole answers or characters are drawn."""

    task: str
    models: str
    counted: str


def study_keys(url_state: UrlState) -> StudyKeys:
    """Declare what is measured: at first reversal, which shows both problems; no model named means the usual ones."""
    state = st.session_state
    task = url_state.declare("measured", SHOWS_BOTH, one_of(tuple(TASKS)))
    counted = url_state.declare("counted", WHOLE, one_of((WHOLE, CHARACTERS)))

    def written(names: list[str]) -> str | None:
        measured = _offered(state["seq2seq.task"])
        usual = _usual(state[task] if state[task] in measured else measured[0], state["seq2seq.model"])
        return None if names == usual else ",".join(names)

    return StudyKeys(task, url_state.declare("compare", [], some_of(NAMES, MOST_MODELS), written), counted)


def draw_length_study(request: TranslationRequest, keys: StudyKeys) -> None:
    """The choice of models, the button, and both charts, which grow while the work goes on."""
    heading("The two problems that attention solved")
    draw_text(words.PROBLEMS)
    task = _pick_task(request, keys.task)
    names = _pick(task, request, keys.models)
    if not names:
        st.info("Choose at least one model to measure.", icon=":material/checklist:")
        return
    tally = st.session_state.get(_TALLY)
    if tally is None or (tally.task, tally.names) != (task.name, names):
        job_slots.drop(SLOT_MEASURE)
        tally = st.session_state[_TALLY] = Tally(task.name, names)
    job = job_slots.job_in(SLOT_MEASURE)

    def start() -> None:
        seed = random.randrange(1 << 30)
        tally.begin(seed)
        job_slots.drop(SLOT_MEASURE)
        work = partial(compute_counts, names, task.lengths, seed, rounds=ROUNDS, texts=CHUNK, gradients=GRADIENTS)
        computations.compute(SLOT_MEASURE, seed, (), work, keep=False, lane=Lane.HEAVY)

    running = job is not None and not job.done
    label = "Measure on new inputs" if not tally.seeds else f"Add {ROUNDS * CHUNK} more of each length"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(label, key="seq2seq.measure", icon=":material/play_arrow:", on_click=here(start), disabled=running, type="primary")
        if running and job is not None:  # not in what is drawn again by itself: see job_slots.follow
            st.button("Stop", key="seq2seq.stop", icon=":material/stop_circle:", type="tertiary", on_click=here(job.cancel))
    if tally.right:
        st.segmented_control(
            "Right", [WHOLE, CHARACTERS], key=resend(keys.counted), required=True,
            format_func={WHOLE: "whole answers", CHARACTERS: "characters in their place"}.__getitem__, wrap=True,
        )  # fmt: skip
    drawn_every(_live, job_slots.in_a_crowd(_BEAT) if running else None)(tally, task, job, running, st.session_state[keys.counted])


def _pick_task(request: TranslationRequest, key: str) -> Task:
    """Reversal, or the task of the page, as far as models of it are trained."""
    state = st.session_state
    names = _offered(request.task.name)
    if len(names) == 1:
        return TASKS[names[0]]
    if state[key] not in names:
        state[key] = names[0]
    st.segmented_control("Task to measure", names, key=resend(key), required=True, format_func=lambda name: TASKS[name].title, wrap=True)
    return TASKS[state[key]]


def _offered(task: str) -> list[str]:
    """Reversal and the page's task, as far as models of them are trained; the page's own where none is."""
    names = dict.fromkeys((SHOWS_BOTH, task))
    return [name for name in names if any(card.accuracy is not None for card in of_task(name))] or [task]


def _pick(task: Task, request: TranslationRequest, key: str) -> tuple[str, ...]:
    trained = {card.name: card.title for card in of_task(task.name) if card.accuracy is not None}
    state = st.session_state
    state[key] = [name for name in state[key] if name in trained] or _usual(task.name, request.card.name)
    st.pills("Models to measure", list(trained), key=resend(key), selection_mode="multi", format_func=trained.__getitem__, wrap=True)
    return tuple(state[key][:MOST_MODELS])


def _usual(task: str, model: str) -> list[str]:
    """Without attention, the chosen model or the task's first, and a Transformer, as far as they are trained."""
    trained = [card.name for card in of_task(task) if card.accuracy is not None]
    chosen = model if model in trained else first_of(task).name
    return [name for name in dict.fromkeys((f"{task}_gru_none", chosen, f"{task}_transformer")) if name in trained]


def _live(tally: Tally, task: Task, job: Job[Counts] | None, running: bool, counted: str) -> None:
    if job is not None:
        tally.take(job)
    if job is not None and not job.done:
        st.progress(job.progress.fraction or 0.0, text=f"{job.progress.message} …")
    elif job is not None and job.exception() is not None:
        job_slots.result_or_status(SLOT_MEASURE, job)
    if tally.right:
        left, right = st.columns(2, gap="medium")
        titles = {card.name: card.title for card in of_task(task.name)}
        with left:
            _chart(accuracy_chart(tally, task, titles, counted), "accuracy")
        with right:
            _chart(gradient_chart(tally, titles), "gradient")
        st.caption(
            "Texts drawn by the task's rule, none of them seen in training; bars and bands are 95 % intervals (of characters at least "
            "that: those of one text go together, so each text counts once). "
            f"Seed{'' if len(tally.seeds) == 1 else 's'}: {', '.join(map(str, tally.seeds))}."
        )
        draw_claims(_claims(tally, task, titles))
        download_button(f"{file_stem('measured', task.name)}.csv", lambda: measured_csv(tally), key="seq2seq.measured.csv")
    if running and job is not None and job.done:
        st.rerun()


def _claims(tally: Tally, task: Task, titles: dict[str, str]) -> list[Claim]:
    """What both problems come to, where a model without attention and one with it were measured."""
    plain = f"{task.name}_gru_none"
    attentive = next((name for name in tally.names if name != plain), None)
    if plain not in tally.names or attentive is None:
        return []
    claims = (
        bottleneck_claim(
            tally.accuracy(plain), tally.accuracy(attentive), titles[attentive], (tally.characters(plain), tally.characters(attentive))
        ),
        gradient_claim(tally.gradients.get(plain, []), tally.gradients.get(attentive, []), titles[attentive]),
    )
    return [claim for claim in claims if claim is not None]


def accuracy_chart(tally: Tally, task: Task, titles: dict[str, str], counted: str = WHOLE) -> go.Figure:
    """Right answers, or characters in their place, in per cent by the text's length, with what lengths were trained on."""
    import plotly.graph_objects as go

    from vizlib.figures.charts import FAINT, framed, mark

    figure = go.Figure()
    for index, name in enumerate(tally.names):
        rows, look = tally.characters(name) if counted == CHARACTERS else tally.accuracy(name), mark(titles[name], index)
        shares = [100 * right / samples for _, right, samples, *_ in rows]
        figure.add_scatter(
            x=[row[0] for row in rows], y=shares, name=look.label, mode="lines+markers",
            line={"color": look.colour, "width": 2.5}, marker={"symbol": look.symbol, "size": 9},
            error_y={
                "type": "data", "color": look.colour, "thickness": 1.6, "width": 4,
                "array": [100 * row[4] - share for row, share in zip(rows, shares, strict=True)],
                "arrayminus": [share - 100 * row[3] for row, share in zip(rows, shares, strict=True)],
            },
            customdata=[[row[1], row[2]] for row in rows],
            hovertemplate=f"{look.label}<br>%{{x}} characters: %{{y:.1f}} % (%{{customdata[0]:.4g}} of %{{customdata[1]}})<extra></extra>",
        )  # fmt: skip
    low, high = task.trained
    if max(task.lengths) > high:
        figure.add_vrect(x0=high + 0.5, x1=max(task.lengths) + 0.5, fillcolor=FAINT, line_width=0, annotation_text="longer than trained on")
    return framed(
        figure, height=_HEIGHT, legend=True, x={"title": f"characters read (trained on {low} to {high})"},
        y={"title": "characters in their place, %" if counted == CHARACTERS else "right answers, %", "range": [-3, 103]},
    )  # fmt: skip


def gradient_chart(tally: Tally, titles: dict[str, str]) -> go.Figure:
    """The gradient of the first output at each input, relative to the last one, against how far it lies from the end."""
    import plotly.graph_objects as go

    from vizlib.figures.charts import framed, mark

    figure = go.Figure()
    for index, name in enumerate(tally.names):
        rows, look = tally.gradients.get(name, []), mark(titles[name], index)
        if not rows:
            continue
        x, y = [row[0] for row in rows], [row[1] for row in rows]
        band = f"rgba({','.join(str(int(look.colour[at : at + 2], 16)) for at in (1, 3, 5))},0.18)"
        figure.add_scatter(
            x=[*x, *reversed(x)], y=[*(row[3] for row in rows), *(max(row[2], 1e-9) for row in reversed(rows))],
            fill="toself", fillcolor=band, line={"width": 0}, hoverinfo="skip", showlegend=False,
        )  # fmt: skip
        figure.add_scatter(
            x=x, y=y, name=look.label, mode="lines", line={"color": look.colour, "width": 2.5},
            hovertemplate=f"{look.label}<br>%{{x}} characters back: %{{y:.2g}}<extra></extra>",
        )  # fmt: skip
    return framed(
        figure, height=_HEIGHT, legend=True, x={"title": "distance from the end of the text, characters"},
        y={"title": "gradient of the first output, relative", "type": "log", "exponentformat": "power", "dtick": 1},
    )  # fmt: skip


def measured_csv(tally: Tally) -> str:
    """Both measurements as one table."""

    def rows() -> Iterator[list[Any]]:
        for name in tally.names:
            for length, right, samples, low, high in tally.accuracy(name):
                yield [name, "accuracy by length", length, right / samples, low, high, right, samples]
            for length, placed, samples, low, high in tally.characters(name):
                yield [name, "characters by length", length, placed / samples, low, high, None, samples]
            for distance, mean, low, high in tally.gradients.get(name, []):
                yield [name, "gradient by distance", int(distance), mean, low, high, None, None]

    return to_csv(["model", "measure", "x", "value", "low", "high", "right", "texts"], rows())


def _chart(figure: go.Figure, key: str) -> None:
    from vizlib.figures.charts import CONFIG

    st.plotly_chart(figure, key=f"seq2seq.{key}", config=CONFIG)
