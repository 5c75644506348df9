"""The views of the Models page: each one sentence that the numbers say, a chart, and its table to take away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.figures.accuracy_charts import accuracy_against_cost, curves, ranking
from vizlib.figures.calibration_charts import reliability
from vizlib.figures.charts import CONFIG, Point
from vizlib.figures.confusion_charts import WRONG, answer_bars, heat_map
from vizlib.figures.localisation_charts import localisation_scores
from vizlib.figures.model_marks import mark_of, short_name
from vizlib.figures.numbers import counted, listed
from vizlib.model_report import claims
from vizlib.ui.core.contents import heading
from vizlib.ui.core.tables import records_to_csv
from vizlib.ui.core.url_state import one_of, resend
from vizlib.ui.pages.models import findings
from vizlib.ui.pages.models import report_tables as tables
from vizlib.ui.pages.models.report_tables import REFERENCES, point_of
from vizlib.ui.widgets.claim_card import draw_claim, draw_claims
from vizlib.ui.widgets.downloads import download_button

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.models.report_tables import Report

WISHED = ("vit_tiny50", "cct_tiny50", "resnet_tiny50")  # the models that are trained on shares of the photographs
NOT_YET = "The report has no numbers for this yet: `vizlib train report --data DIR` measures them."
AXES = {
    "parameters": "Parameters",
    "multiply_adds": "Multiply-adds",
    "time": "Time",
    "epochs": "Epochs",
    "images": "Training photographs",
}
ANY = -1
_BARS = 8  # of a class


def _chart(figure: go.Figure, key: str, alt: str) -> None:
    st.plotly_chart(figure, key=f"models.{key}", config=CONFIG, alt=alt)


def _choose(label: str, choices: dict[str, str], key: str, *, named: bool = False) -> str:
    """One of a few, as buttons; its label is shown only where several stand side by side."""
    visibility: Literal["visible", "collapsed"] = "visible" if named else "collapsed"
    st.segmented_control(
        label, list(choices), key=resend(key), format_func=choices.__getitem__, required=True, label_visibility=visibility, wrap=True
    )
    return st.session_state[key]


def _take_away(rows: Sequence[dict[str, Any]], name: str) -> None:
    """The table behind a chart, folded, with the file for spreadsheets."""
    with st.expander("The numbers", icon=":material/table_view:"):
        st.dataframe(list(rows), hide_index=True)
        download_button(f"vizlib-{name}.csv", records_to_csv(rows), key=f"models.csv.{name}")


def draw_accuracy(report: Report, url_state: UrlState) -> None:
    """Who is right how often, and at what cost."""
    points = report.accuracy()
    _chart(
        ranking(points, report.accuracy("top5"), report.images),
        "ranking",
        "Models by share of right answers: " + "; ".join(f"{point.mark.label} {point.note}" for point in points),
    )
    seen = report.section("about").get("training_images")
    trained = f"{seen:,} photographs of {len(report.classes)} classes" if seen else "few photographs"
    case = f"Small models, {trained}, one training each: intervals are over validation photographs, not over trainings."
    draw_claims(claims.accuracy_claims(report.sections), case)
    heading("Against what it costs", sub=True)
    key = url_state.declare("against", "multiply_adds", one_of(tuple(AXES)))
    axis = _choose("Against", AXES, key)
    if axis == "epochs":
        series = report.epochs()
        if series:
            _chart(curves(series, "epoch of training", report.images), "epochs", "Share of right answers after each epoch, a line a model")
            st.caption("Measured after each epoch on the averaged weights that are kept; nothing was selected on these photographs.")
        else:
            st.info(NOT_YET, icon=":material/hourglass_empty:")
    elif axis == "images":
        _draw_curves(report, "against.images")
    else:
        costs = report.against(axis)
        if costs:
            _chart(
                accuracy_against_cost(costs, tables.COSTS[axis], report.images),
                f"against.{axis}",
                f"Share of right answers against {tables.COSTS[axis]}",
            )
            about = report.section("about")
            notes = {
                "multiply_adds": about.get("multiply_adds"),
                "time": f"Median of 40 passes over one picture, on {about['machine']}." if about.get("machine") else "",
            }
            st.caption(" ".join([notes.get(axis) or "", findings.dearer(report) if axis == "multiply_adds" else ""]).strip())
        else:
            st.info(NOT_YET, icon=":material/hourglass_empty:")
    _take_away(
        tables.epoch_rows(report) if axis == "epochs" else tables.accuracy_rows(report), "epochs" if axis == "epochs" else "accuracy"
    )


def _draw_curves(report: Report, key: str) -> None:
    runs = report.small_data()
    absent = [short_name(name) for name in WISHED if name not in runs]
    if runs:
        series = [
            (
                mark_of(name),
                [point_of(name, top, images, f"{images:,} photographs: {tables.share_words(top)}") for images, top, _ in rows],
            )
            for name, rows in runs.items()
        ]
        ticks = sorted({images for rows in runs.values() for images, _, _ in rows})
        title = "training photographs (log scale)"
        _chart(curves(series, title, report.images, log=True, ticks=ticks), key, "Share of right answers by number of training photographs")
        epochs = sorted({epochs for rows in runs.values() for *_, epochs in rows})
        length = f"{listed([str(count) for count in epochs])} epochs each" if len(epochs) == 1 else "not all equally long: see the numbers"
        st.caption(f"{report.section('about').get('small_data', '')} Trained {length}.")
    if absent:
        st.info(
            f"Not trained on a share of the photographs yet: {listed(absent)}. "
            f"`vizlib train {next(name for name in WISHED if name not in runs)} --data DIR --share 0.1`, then 0.25 and 0.5, does it.",
            icon=":material/hourglass_empty:",
        )
    unfinished = report.unfinished()
    if unfinished:
        st.info(f"Still in training: {'; '.join(unfinished)}.", icon=":material/hourglass_top:")


def draw_small_data(report: Report, url_state: UrlState) -> None:  # noqa: ARG001  one signature for all views
    """How accuracy falls with the photographs."""
    sentence = findings.who_starves(report)
    if sentence:
        st.markdown(sentence)
    _draw_curves(report, "small_data")
    claim = claims.little_data_claim(report.sections)
    if claim is not None:
        draw_claim(claim)
    rows = tables.small_data_rows(report)
    if rows:
        _take_away(rows, "small-data")


def _pick_model(report: Report, url_state: UrlState, section: str) -> str | None:
    measured = [name for name in report.names if name in report.section(section)]
    if not measured:
        st.info(NOT_YET, icon=":material/hourglass_empty:")
        return None
    best = max(measured, key=lambda name: report.top(name)[0])
    key = url_state.declare("model", best, one_of(measured))
    if st.session_state[key] not in measured:
        st.session_state[key] = best
    return _choose("Model", {name: short_name(name) for name in measured}, key)


def draw_confusions(report: Report, url_state: UrlState) -> None:
    """Which classes a model takes for which."""
    name = _pick_model(report, url_state, "confusion")
    if name is None:
        return
    st.markdown(findings.worst_confusion(report, name))
    counts, classes = np.array(report.section("confusion")[name]), report.classes
    labels = {ANY: "All classes"} | {
        number: classes[number] for number in sorted(range(len(classes)), key=lambda row: classes[row].lower())
    }

    def read(text: str) -> int:
        if int(text) not in labels:
            raise ValueError(text)
        return int(text)

    key = url_state.declare("class", ANY, read)
    picked = st.selectbox(
        "Class",
        list(labels),
        key=resend(key),
        format_func=lambda row: labels[row],
        help="Type to search. Its row and column are framed in the table of all.",
    )
    if picked != ANY:
        _draw_class(counts, classes, picked)
    _chart(
        heat_map(counts, classes, None if picked == ANY else picked),
        "confusions",
        f"Answers of {short_name(name)} for the photographs of each class. {findings.unmarked(findings.worst_confusion(report, name))}",
    )
    least, most = int(counts.sum(1).min()), int(counts.sum(1).max())
    size = f"{most}" if least == most else f"{least} to {most}"
    st.caption(f"A row is a class of {size} photographs, a column an answer. Blue: right. Red: mistakes. Blank: never.")
    _take_away(tables.confusion_rows(report, name), f"confusions-{name}")


def _draw_class(counts: np.ndarray, classes: Sequence[str], picked: int) -> None:
    given, taken = counts[picked], counts[:, picked]
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(f"**{classes[picked]}** was taken for")
        _draw_bars(given, classes, picked, f"of {counted(int(given.sum()), 'photograph')} of {classes[picked]}", "given")
    with right:
        st.markdown(f"The answer **{classes[picked]}** was given for")
        _draw_bars(taken, classes, picked, f"of {counted(int(taken.sum()), 'answer')} {classes[picked]}", "taken")


def _draw_bars(counts: np.ndarray, classes: Sequence[str], picked: int, title: str, key: str) -> None:
    order = [int(row) for row in np.argsort(-counts, kind="stable") if counts[row]]
    if not order:
        st.markdown("nothing at all.")
        return
    left, order = len(order) - _BARS, order[:_BARS]
    names, values = [classes[row] for row in order], [int(counts[row]) for row in order]
    figure = answer_bars(names, values, int(counts.sum()), WRONG, classes[picked], title)
    _chart(figure, f"class.{key}", "; ".join(f"{name} {value}" for name, value in zip(names, values, strict=True)))
    if left > 0:
        rest = f"{counted(left, 'more class')} with {counted(int(counts.sum()) - sum(values), 'photograph')} in all"
        st.caption(f"The commonest {_BARS}; {rest} stand below, in the numbers.")


def draw_calibration(report: Report, url_state: UrlState) -> None:
    """Whether a model is right as often as it says."""
    name = _pick_model(report, url_state, "calibration")
    if name is None:
        return
    st.markdown(findings.who_knows(report, name))
    bins = report.section("calibration")[name]
    _chart(
        reliability(mark_of(name), bins["counts"], bins["confidence"], report.calibration_intervals(name), report.images),
        "calibration",
        f"Reliability diagram of {short_name(name)}: {findings.unmarked(findings.who_knows(report, name))}",
    )
    st.caption(
        "Above the dotted line a model is right more often than it says, below it less often. Label smoothing and mixed pictures in "
        "training can teach caution. " + _sentence(report.section("about").get("calibration", ""))
    )
    _take_away(tables.calibration_rows(report), "calibration")


def draw_maps(report: Report, url_state: UrlState) -> None:
    """Whether maps lie on the object."""
    maps = report.maps()
    if not maps:
        st.info(NOT_YET, icon=":material/hourglass_empty:")
        return
    about, references = report.section("localisation")["about"], report.section("localisation")["references"]
    with st.container(horizontal=True, gap="medium"):
        key = url_state.declare("measure", "ratio", one_of(("ratio", "pointing")))
        words = {"ratio": "Mass in the box", "pointing": "Pointing game"}
        measure = _choose("Measure", words, key, named=True)
        key = url_state.declare("boxes", "small", one_of(("all", "small")))
        subsets = {"small": f"Under {100 * about['small']:.0f} % of the picture", "all": "All"}
        subset = _choose("Boxes", subsets, key, named=True)
    if subset not in references["random"]:
        st.info("No photograph of the set has such a box.", icon=":material/hourglass_empty:")
        return
    st.markdown(findings.who_points(report, measure, subset))
    rows = {
        METHODS[method].title: [
            (_map_point(name, scores[subset], measure), scores[subset]["beats_gaussian"]["mass" if measure == "ratio" else measure])
            for name, scores in models.items()
        ]
        for method, models in maps.items()
    }
    # In the pointing game a Gaussian's highest place is its centre, so one line is both.
    lines = ("random", "gaussian") if measure == "pointing" else ("random", "gaussian", "centre")
    marks = [(REFERENCES[name], references[name][subset][measure][0]) for name in lines]
    images, area = references["random"][subset]["images"], references["random"][subset]["area"]
    title = {
        "ratio": f"mass in box ÷ box area,<br>{images:,} photographs (95 %)",
        "pointing": f"highest place in box,<br>{images:,} photographs (95 %)",
    }[measure]
    _chart(
        localisation_scores(rows, marks, title, ".2f" if measure == "ratio" else ".0%"),
        "maps",
        findings.unmarked(findings.who_points(report, measure, subset)),
    )
    made = references["random"]["all"]["images"]
    few = f" Maps were made of {made:,} of the {report.images:,} photographs." if made < report.images else ""
    sharp = "Sharp maps in the middle gain by this measure alone: all mass on the central pixel is the line named centre."
    st.caption(
        f"Filled: beats, beyond chance, the centred Gaussian, whose standard deviation is {about['sigma']:.2f} of the side. Outlined: does "
        f"not. {about['mass' if measure == 'ratio' else 'pointing']} {sharp if measure == 'ratio' else ''} The boxes cover "
        f"{100 * area:.0f} % of the picture in the mean. Target: {about['target']}.{few}"
    )
    _take_away(tables.map_rows(report, subset), f"maps-{subset}")


def _sentence(text: str) -> str:
    """A text of the report with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def _map_point(name: str, scores: dict[str, Any], measure: str) -> Point:
    value, low, high = scores[measure]
    if measure == "pointing":
        note = f"{tables.share_words(scores[measure])} inside"
    else:
        note = f"{value:.2f} ({low:.2f} to {high:.2f}) times the box's share; {tables.share_words(scores['mass'])} of the mass"
    return point_of(name, scores[measure], note=f"{note}<br>beats the Gaussian: {tables.beaten_words(scores)}")
