"""The parts of the Compact Transformers page: three models side by side, small-data curves, and the three ideas of convolution."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

import vizlib
from vizlib.engine.work_order import Lane
from vizlib.figures.model_marks import mark_of, marks_of, short_name
from vizlib.model_report import claims, report_file
from vizlib.model_report.claims import COMPACT, PLAIN
from vizlib.ui.components.tokenizer_columns import tokenizer_columns
from vizlib.ui.core import computations, formatting, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.contents import heading
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.model_choice import model_choice
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.compact import tokenizer_data
from vizlib.ui.pages.compact.claims import equivariance_claim, moved_words
from vizlib.ui.sections.toy import draw_toy
from vizlib.ui.widgets.claim_card import draw_claim
from vizlib.ui.widgets.downloads import download_row, file_stem
from vizlib.ui.widgets.snippet import draw_snippet
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.engine.jobs import Job
    from vizlib.figures.charts import Mark
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.compact.tokenizer_data import Column, Drift

PAPER = "Hassani et al., Escaping the Big Data Paradigm with Compact Transformers (2021), https://arxiv.org/abs/2104.05704"
PARTS = {
    "vit_tiny50": "patches, class token",
    "compact_vit_tiny50": "patches, sequence pooling",
    "cct_tiny50": "convolutions, sequence pooling",
}
BESIDE = ("vit_tiny50", "compact_vit_tiny50")
RANDOM = "Choose random weights above to see its architecture at work."
_CURVES = ("vit_tiny50", "compact_vit_tiny50", "cct_tiny50", "resnet_tiny50")
_HEIGHT = 300
Group = list[tuple["ModelChoice", str]]


def draw_page(model: ModelChoice, picture: Picture, fit: str | None, url_state: UrlState) -> None:
    """Every section, as far as its numbers are there."""
    group = members(model)
    # The columns are asked for before the measurements.
    columns_jobs = [_submit_column(place, each, title, picture, fit) for place, (each, title) in enumerate(group)]
    drift_jobs = [_submit_drift(place, each, picture, fit) for place, (each, _) in enumerate(group)]
    job_slots.wait_for(columns_jobs)
    draw_little_data()
    columns = draw_columns(url_state, group, columns_jobs, picture, fit)
    draw_toy("compact")
    if len(columns) == len(group):
        draw_ideas(columns, group, drift_jobs)
    draw_epochs()


def members(model: ModelChoice) -> Group:
    """The models of the page, left to right: two bundled ones and the chosen one, each with what to call it."""
    shown = [*(model_choice(name) for name in BESIDE if name != model.name), model]
    return [(each, f"{each.display_name}: {PARTS[each.name]}" if each.name in PARTS else each.display_name) for each in shown]


def _submit_column(place: int, model: ModelChoice, title: str, picture: Picture, fit: str | None) -> Job[Column] | None:
    return computations.compute(
        f"compact.column.{place}",
        ("tokenizer_column", picture.identity, fit, title),
        [model],
        partial(tokenizer_data.compute_column, title, model.random, picture=picture, fit=fit),
    )


def _submit_drift(place: int, model: ModelChoice, picture: Picture, fit: str | None) -> Job[Drift] | None:
    return computations.compute(
        f"compact.drift.{place}",
        ("drift", picture.identity, fit),
        [model],
        partial(tokenizer_data.compute_drift, picture=picture, fit=fit),
        lane=Lane.HEAVY,
    )


def draw_columns(url_state: UrlState, group: Group, jobs: list[Job[Column] | None], picture: Picture, fit: str | None) -> list[Column]:
    """Tokenisers and read-outs side by side, and what to take away; the columns that are there."""
    choices = {"cover": ("windows", "routes"), "readout": ("weights", "shares")}
    view, take = component_state(url_state, "compact.columns", choices, {"label": ("", str), "token": ("", _place)})
    results = [
        computations.result_or_status(f"compact.column.{place}", job, [model], RANDOM)
        for place, ((model, _), job) in enumerate(zip(group, jobs, strict=True))
    ]
    columns = [column for column in results if column is not None]
    if not columns:
        return []
    tokenizer_columns([column.payload for column in columns], view, key="compact.columns", on_change=here(take))

    def png() -> bytes:
        return tokenizer_data.to_png(columns, [unpack(column.payload)[1]["photo"] for column in columns])

    tokens = "One line for each token: the pixels it covers, its read-out weight, its share of the answer's logit."
    download_row(
        file_stem(picture, "compact"),
        "compact",
        ("png", png, "The read-out weights over the picture."),
        ("csv", partial(tokenizer_data.tokens_csv, columns), tokens),
    )
    draw_snippet(_snippet(group[-1][0], picture, fit))
    return columns


def draw_ideas(columns: list[Column], group: Group, jobs: list[Job[Drift] | None]) -> None:
    """Sparse interaction, weight sharing and equivariance, each measured on this picture."""
    heading("Three ideas of convolution", sub=True)
    draw_text(
        "The paper names what convolution brings that a plain transformer has to learn from data: **sparse interaction** (a unit looks at "
        "few inputs), **weight sharing** (one weight serves many places) and **equivariance** (move the picture and the "
        "features move along)."
    )
    rows = ["| tokeniser | a token takes in | layer | parameters | connections | each weight is used |", "|---|---|---|--:|--:|--:|"]
    for column in columns:
        for place, layer in enumerate(column.sharing):
            name, cover = (f"**{column.title}**", f"{column.cover} px") if place == 0 else ("", "")
            used = layer.grid[0] * layer.grid[1]
            rows.append(
                f"| {name} | {cover} | {layer.name}, {layer.window} | {layer.parameters:,} | {layer.connections:,} | {used:,.0f} × |"
            )
    st.markdown("\n".join(rows))
    draw_text(
        "**Equivariance.** The picture moves to the right, pixel by pixel, over one token. The tokens should move along: the drift is "
        "$\\lVert f(S x) - S f(x) \\rVert / \\lVert f(x) - \\bar f \\rVert$, 0 where they do exactly, on tokens that no border touches. "
        "What the head reads should not change at all: its drift is $1 - \\cos$ between before and after."
    )
    results = [
        computations.result_or_status(f"compact.drift.{place}", job, [model])
        for place, ((model, _), job) in enumerate(zip(group, jobs, strict=True))
    ]
    marks = marks_of([model.name for model, _ in group], [title for _, title in group])
    drifts = [(mark, drift) for mark, drift in zip(marks, results, strict=True) if drift is not None]
    if not drifts:
        return
    left, right = st.columns(2, gap="medium")
    with left:
        lines = [(mark, [shift / drift.stride for shift in drift.shifts], drift.tokens) for mark, drift in drifts]
        _chart("Drift of the tokens", "shift, in tokens", lines, key="compact.drift.tokens", format_="{y:.2f}")
    with right:
        lines = [(mark, [shift / drift.stride for shift in drift.shifts], drift.features) for mark, drift in drifts]
        _chart("Drift of what the head reads", "shift, in tokens", lines, key="compact.drift.features", format_="{y:.4f}")
    moved = {model.name: max(drift.tokens) for (model, _), drift in zip(group, results, strict=True) if drift is not None}
    if {PLAIN, COMPACT} <= set(moved):
        draw_claim(equivariance_claim(moved[COMPACT], moved[PLAIN]), "One picture: a case, not a proof.")
    names = [model.display_name for model, _ in group]
    st.caption(moved_words({name: drift.tokens for name, drift in zip(names, results, strict=True) if drift is not None}))


def draw_little_data() -> None:
    """The page's question first: right answers by number of training photographs, with intervals, and what they say of the claim."""
    from vizlib.figures.accuracy_charts import curves
    from vizlib.figures.charts import CONFIG, Point

    try:
        report = report_file.read_report()
    except vizlib.TrainingError as error:
        st.error(formatting.plain(str(error)), icon=":material/error:")
        return
    runs = claims.small_data(report)
    claim = claims.little_data_claim(report)
    if claim is None:
        return
    images = report["about"]["images"]
    series = [
        (mark_of(name), [Point(mark_of(name), top[0], top[1], top[2], count, share_note(count, top)) for count, top, _ in rows])
        for name, rows in runs.items()
    ]
    ticks = sorted({count for rows in runs.values() for count, *_ in rows})
    left, right = st.columns(2, gap="medium")
    with left:
        st.plotly_chart(
            curves(series, "training photographs (log scale)", images, log=True, ticks=ticks).update_layout(height=_HEIGHT),
            key="compact.little", config=CONFIG, alt="Share of right answers by number of training photographs, with 95 % intervals",
        )  # fmt: skip
    with right:
        draw_claim(claim)
    lengths = sorted({epochs for rows in runs.values() for *_, epochs in rows})
    about = report["about"].get("small_data") or f"Epochs: {', '.join(map(str, lengths))}."
    st.caption(f"{about} Bars are 95 % intervals.")


def share_note(count: int, top: Sequence[float]) -> str:
    """A point of the curve in words."""
    value, low, high = (100 * share for share in top)
    return f"{count:,} photographs: {value:.1f}\u00a0% ({low:.1f} to {high:.1f}\u00a0%)"


def draw_epochs() -> None:
    """How the bundled models learnt, epoch by epoch, as measured while they were trained."""
    lines, words, lengths = [], [], set()
    for name, mark in zip(_CURVES, marks_of(_CURVES), strict=True):
        card = all_cards().get(name)
        history = (card.training or {}).get("training", {}).get("history", []) if card else []
        if card is None or card.accuracy is None or not history:
            continue
        lengths.add(len(history))
        lines.append((mark, [epoch["epoch"] for epoch in history], [100 * epoch["top1"] for epoch in history]))
        size, epochs = f"{card.parameters / 1e6:.2f}\u00a0M", len(history)
        words.append(f"{mark.label} {100 * card.accuracy.top1:.1f}\u00a0% with {size} parameters after {epochs} epochs")
    if not lines:
        return
    heading("Epoch by epoch", sub=True)
    missing = [short_name(name) for name in _CURVES if name not in all_cards()]
    still = (
        f" {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not trained yet, so the comparison is not complete."
        if missing
        else ""
    )
    unequal = " They were not trained equally long, so this is no comparison of architectures." if len(lengths) > 1 else ""
    st.markdown(
        f"The bundled models have about the same size and saw the same 25,000 photographs of 50 classes. Right on 1,250 they never saw: "
        f"{'; '.join(words)}.{unequal}{still}"
    )
    _chart("First answer right, % of validation photographs", "epoch of training", lines, key="compact.curves", format_="{y:.1f}\u00a0%")


def _chart(title: str, across: str, lines: list[tuple[Mark, list[float], list[float]]], *, key: str, format_: str) -> None:
    import plotly.graph_objects as go

    from vizlib.figures.charts import CONFIG

    hover = format_.replace("{y:", "%{y:")
    figure = go.Figure()
    for mark, x, y in lines:
        figure.add_scatter(
            x=x, y=y, name=escape(mark.label), mode="lines+markers", line={"color": mark.colour, "width": 2},
            marker={"symbol": mark.symbol, "size": 7},
            hovertemplate=f"{escape(mark.label)}<br>{across} %{{x:.3g}}: {hover}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        title={"text": title, "font": {"size": 14}}, height=_HEIGHT, margin={"l": 8, "r": 8, "t": 40, "b": 8}, hovermode="closest",
        xaxis={"title": across, "automargin": True}, yaxis={"rangemode": "tozero", "automargin": True},
        legend={"orientation": "h", "y": -0.34, "x": 0, "yanchor": "top"},
    )  # fmt: skip
    st.plotly_chart(figure, key=key, config=CONFIG)


def _place(text: str) -> str:
    if not text:
        return text
    y, x = (float(part) for part in text.split(","))
    if not (0 <= y <= 1 and 0 <= x <= 1):
        raise ValueError(text)
    return text


def _snippet(model: ModelChoice, picture: Picture, fit: str | None) -> str:
    given = "" if fit is None else f', fit="{fit}"'
    return (
        f"{picture.imports}import vizlib\n"
        "from vizlib.analysis.perturbation.equivariance import feature_drift, map_drift\n"
        "from vizlib.analysis.attention.sequence_pooling import pooled_shares\n"
        "from vizlib.analysis.receptive_field.tokenizer import cover, features_of, routes, token_maps_of\n"
        "from vizlib.passes.forward import run\n\n"
        f"model = {model.code}\n"
        f"image = vizlib.read_image({picture.code})\n"
        f"x = model.prepare(image{given})\n"
        "forward = run(model, x)\n"
        "reach = cover(model, forward.size)\n"
        "row, column = reach.grid[0] // 2, reach.grid[1] // 2\n"
        'print("a token\'s windows:", reach.box(row, column))\n'
        "through_the_pools = routes(forward)  # (tokens, pixels), each row sums to 1\n\n"
        "head = model.module.classifier\n"
        "if head.seq_pool:\n"
        '    tokens = forward.recording.notes["classifier.norm"]["tokens"][0]\n'
        "    shares = pooled_shares(tokens, head.attention_pool.weight[0], head.attention_pool.bias, head.fc.weight, head.fc.bias)\n"
        "    answer = int(shares.logits.argmax())\n"
        "    print(model.label(answer), shares.parts[:, answer].sum() + shares.bias[answer], forward.logits[0, answer])\n\n"
        "stride = forward.size[1] // reach.grid[1]\n"
        "print(map_drift(token_maps_of(model), x, range(stride + 1), stride, reach=stride + stride // 2))\n"
        "print(feature_drift(features_of(model), x, range(stride + 1)))\n"
    )
