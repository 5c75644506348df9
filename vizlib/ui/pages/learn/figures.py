"""What a step of the lesson shows once it was answered, and the picture to click on before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.analysis.lesson.outcome import TELLS
from vizlib.figures.numbers import decimal
from vizlib.ui.components.patch_choice import patch_choice
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from vizlib.analysis.lesson.outcome import Outcome
    from vizlib.ui.pages.learn.lesson_work import Finding
    from vizlib.ui.pages.learn.steps import Step

_HEIGHT = 300
_SHORT = 9  # characters of a bar's name on one line


def pack_question(finding: Finding, title: str, chosen: int) -> bytes:
    """The picture to click on, of which the patch ``chosen`` (-1: none) is marked; what was found is not in it."""
    assert finding.outcome.grid is not None  # noqa: S101  its options are patches
    return _pack(finding, title, finding.outcome.grid, chosen, open_=True)


def _pack(
    finding: Finding,
    title: str,
    grid: tuple[int, int],
    chosen: int = -1,
    right: Sequence[int] = (),
    losses: Sequence[float] = (),
    *,
    open_: bool = False,
) -> bytes:
    names = [loss_words(loss) for loss in losses] or None
    header = {
        "title": title, "grid": grid, "size": finding.size, "chosen": chosen, "right": list(right), "names": names,
        "legend": legend_words(losses), "open": open_,
    }  # fmt: skip
    reach = max(map(abs, losses), default=0.0)
    photo: dict[str, np.ndarray | bytes] = {"photo": finding.photo}
    return pack(header, photo | {"values": np.asarray(losses, np.float32) / reach} if reach >= TELLS else photo)


def loss_words(loss: float) -> str:
    """What the answer loses without one patch."""
    number = decimal(100 * abs(loss), 1)
    return "nothing lost" if number == "0.0" else f"{number}\u00a0percentage\u00a0points {'lost' if loss > 0 else 'gained'}"


def legend_words(losses: Sequence[float]) -> str:
    """What the colours of the patches mean, of those that are there."""
    if not losses:
        return ""
    if max(map(abs, losses)) < TELLS:
        return "No patch is coloured: hiding any one changes the answer by under half a percentage\u00a0point."
    most, least, said = max(losses), min(losses), []
    if most >= TELLS:
        said.append(f"Hiding a red patch costs the answer something, up to {loss_words(most).removesuffix(' lost')}.")
    if least <= -TELLS:
        said.append(f"Hiding a blue patch helps it, up to {loss_words(least).removesuffix(' gained')}.")
    return " ".join([*said, "What is paler matters less."])


def _nothing() -> None:
    """A picture that only shows takes no choice."""


def draw_figure(step: Step, finding: Finding, answer: int) -> None:
    """What was found: the three texts of the sentence, the picture cut or with its map, or a bar for each option."""
    from vizlib.figures.charts import CONFIG

    outcome = finding.outcome
    if outcome.grid is not None:
        right = () if outcome.all_right else outcome.right
        message = _pack(finding, "The picture", outcome.grid, answer, right, outcome.values)
        patch_choice(message, key=f"learn.shown.{step.name}", on_cell=here(_nothing))
    elif step.name == "bottleneck":
        facts = outcome.facts
        st.code(f"read    {facts['text']}\nright   {facts['truth']}\nwritten {facts['written']}", language=None)
    elif step.name == "tokens":
        grid = (int(float(str(outcome.facts["rows"]))), int(float(str(outcome.facts["columns"]))))
        patch_choice(_pack(finding, "The picture", grid), key="learn.shown.tokens", on_cell=here(_nothing))
    elif step.name == "keys":
        grid = (int(float(str(outcome.facts["key_rows"]))), int(float(str(outcome.facts["key_columns"]))))
        patch_choice(_pack(finding, "The picture", grid), key="learn.shown.keys", on_cell=here(_nothing))
        st.caption(f"The picture in the {grid[0]} × {grid[1]} keys of the first stage: each stands for all tokens in its square.")
    else:
        st.plotly_chart(outcome_chart(step, outcome, answer), key=f"learn.chart.{step.name}", config=CONFIG, alt=step.title)
        st.caption(chart_words(step, outcome, answer))


_AXES = {
    "looked_at": ("share of the attention", 100, "\u00a0%"),
    "farthest": ("mean distance, pixels of the input", 1, ""),
    "settled": ("probability of the answer after the layer", 100, "\u00a0%"),
    "layers_off": ("probability lost, percentage points", 100, ""),
    "shuffled": ("share of the answer that stays", 100, "\u00a0%"),
    "trusted": ("probability lost, percentage points", 100, ""),
}


_RANGES = {"shuffled": "A line is the range over five shuffles.", "trusted": "The line is the range over the random quarters."}


def chart_words(step: Step, outcome: Outcome, answer: int) -> str:
    """What the colours and lines of the chart mean."""
    yours = "yours too" if answer in outcome.right else "orange is yours"
    return f"Green is right, {yours}. {_RANGES.get(step.name, '')}".strip()


def outcome_chart(step: Step, outcome: Outcome, answer: int) -> go.Figure:
    """The number of every option as a bar: the right one green, the learner's orange, all others grey."""
    import plotly.graph_objects as go

    from vizlib.figures.charts import FAINT, GREY, framed

    title, factor, suffix = _AXES[step.name]
    colours = ["#2C9A4B" if place in outcome.right else "#C77C02" if place == answer else FAINT for place in range(len(outcome.options))]
    values = [factor * value for value in outcome.values]
    figure = go.Figure()
    ranges = [outcome.facts.get(option) for option in outcome.options]
    bars = None
    if step.name == "shuffled":
        pairs = [pair if isinstance(pair, tuple) else (value, value) for pair, value in zip(ranges, outcome.values, strict=True)]
        bars = {
            "type": "data", "color": GREY, "array": [100 * (high - value) for (_, high), value in zip(pairs, outcome.values, strict=True)],
            "arrayminus": [100 * (value - low) for (low, _), value in zip(pairs, outcome.values, strict=True)],
        }  # fmt: skip
    figure.add_bar(
        x=list(outcome.options), y=values, marker={"color": colours}, error_y=bars,
        hovertemplate=f"%{{x}}: %{{y:.3~g}}{suffix}<extra></extra>",
    )  # fmt: skip
    if step.name == "trusted":  # a line of their own: a bar without a range would have a cap all the same
        low, high, mean = float(str(outcome.facts["low"])), float(str(outcome.facts["high"])), outcome.values[-1]
        line = {"type": "data", "color": GREY, "array": [100 * (high - mean)], "arrayminus": [100 * (mean - low)]}
        figure.add_scatter(
            x=[outcome.options[-1]], y=values[-1:], error_y=line, mode="markers", marker={"opacity": 0}, hoverinfo="skip", showlegend=False,
        )  # fmt: skip
    # A long name takes two lines, or all of them would lie aslant on a telephone.
    names = ["<br>".join(option.rsplit(" ", 1)) if len(option) > _SHORT else option for option in outcome.options]
    x = {"type": "category", "tickmode": "array", "tickvals": list(outcome.options), "ticktext": names}
    return framed(figure, height=_HEIGHT, x=x, y={"title": title, "ticksuffix": suffix})
