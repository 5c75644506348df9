"""The logit lens on a page: the answer after every layer as a chart, what each patch alone would answer as maps, and both in words."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.figures.numbers import apart, listed, percent, points
from vizlib.ui.components.depth_maps import depth_maps
from vizlib.ui.core.formatting import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.ui.sections.logit_lens_data import DepthAnswers

SOURCE = (
    "The logit lens ([nostalgebraist 2020](https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens)); for the "
    "patches of a vision transformer [Vilas et al. 2023](https://arxiv.org/abs/2310.18969)."
)
_HEIGHT = 300


def draw_depth_answers(answers: DepthAnswers, *, key: str) -> None:
    """The chart and the maps with their words, or the reason why there are none."""
    from vizlib.figures.charts import CONFIG

    if answers.refusal:
        st.info(plain(answers.refusal), icon=":material/block:")
        return
    st.markdown(settled_words(answers))
    st.plotly_chart(depth_chart(answers), key=f"{key}.chart", config=CONFIG, alt="Probability of classes after each layer")
    if answers.no_patches:
        st.caption(f"No map for each patch: {plain(answers.no_patches)}.")
        return
    st.markdown(patch_words(answers))
    depth_maps(answers.maps, key=f"{key}.maps")


def settled_words(answers: DepthAnswers) -> str:
    """From which layer on the answer leads, what led before, and in which layer it gained most."""
    answer, count, settled = answers.curves[0], len(answers.layers), answers.settled
    name = f"**{_short(answer.label)}**"
    before = list(dict.fromkeys(_short(label) for label in answers.leaders[:settled]))
    if count == 1:
        text = f"There is one layer, and {name} leads after it."
    elif settled == 0:
        text = f"{name} leads after every one of the {count} layers, from the first on."
    elif settled == count - 1:
        text = f"Only the last of the {count} layers settles it: {name} leads after that alone."
    else:
        text = f"Settled after {answers.layers[settled]} of {count}: from there on {name} leads after every layer."
    if before:
        text += f" Before, the head would have said {listed(before)}."
    return f"{text} {_gain(answers)}"


def _gain(answers: DepthAnswers) -> str:
    values = answers.curves[0].values
    if len(values) < 2:
        return f"It has {percent(values[-1])}."
    steps = [after - before for before, after in pairwise(values)]
    most = max(range(len(steps)), key=steps.__getitem__)
    by = points(steps[most]).removeprefix("+") if round(100 * steps[most]) else "under 1\u00a0percentage\u00a0point"
    first, last = percent(values[0]), percent(values[-1])
    if len(steps) == 1 and round(100 * steps[0]):  # the step is the difference of the two
        last, first, gap = apart(values[-1], values[0])
        by = gap.removeprefix("+")
    grown = f"the largest step up is {answers.layers[most + 1]}, by {by}" if steps[most] > 0 else "it never rises"
    return f"It has {first} after the first layer and {last} at the end; {grown}."


def patch_words(answers: DepthAnswers) -> str:
    """How many patches say the class by themselves, at the start, at their most and at the end, and whether the head ever reads them."""
    assert answers.target is not None  # noqa: S101  there are patches of a class
    alone, total = answers.alone, answers.patches
    name, most = _short(answers.target.label), max(range(len(alone)), key=alone.__getitem__)
    first = f"{alone[0]} of {total} {'says' if alone[0] == 1 else 'say'}"
    text = f"**Each patch read alone**, as if it were the whole picture: {first} {name} after the first layer"
    if len(alone) > 1:
        text += f", {alone[-1]} after the last"
        if alone[most] > max(alone[0], alone[-1]):
            text += f"; most, {alone[most]}, after {answers.layers[most]}"
    read = (
        "The head reads these tokens, all together."
        if answers.reads_patches
        else "The head of this model reads the class token alone; nothing ever taught it to read these tokens, least of all after the last "
        "layer, where nobody looks at them any more."
    )
    return f"{text}. {read}"


def depth_chart(answers: DepthAnswers) -> go.Figure:
    """The probability of each class that leads somewhere, after every layer; a line where the answer is settled."""
    import plotly.graph_objects as go

    from vizlib.figures.charts import COLOURS, GREY, SYMBOLS, framed

    numbers = list(range(1, len(answers.layers) + 1))
    figure = go.Figure()
    for place, curve in enumerate(answers.curves):
        figure.add_scatter(
            x=numbers, y=[100 * value for value in curve.values], name=_short(curve.label), mode="lines+markers",
            line={"color": COLOURS[place], "width": 3 if place == 0 else 1.6}, marker={"symbol": SYMBOLS[place], "size": 8},
            customdata=[layer.capitalize() for layer in answers.layers],
            hovertemplate=f"{_short(curve.label)}<br>%{{customdata}}: %{{y:.1f}} %<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=answers.settled + 1, line={"color": GREY, "dash": "dot", "width": 1.5})
    return framed(
        figure,
        height=_HEIGHT,
        x={"title": "after layer", "dtick": max(1, len(numbers) // 12), "range": [0.7, len(numbers) + 0.3]},
        y={"title": "probability", "ticksuffix": "\u00a0%", "rangemode": "tozero"},
        legend=True,
    )


def _short(label: str) -> str:
    return plain(label.split(",", maxsplit=1)[0])
