"""The Models page from top to bottom: who is right most often, one view of the report at a time, and the cards of all models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

import vizlib
from vizlib.figures.model_marks import short_name
from vizlib.figures.numbers import listed
from vizlib.model_report import report_file
from vizlib.model_report.report_file import COMMAND
from vizlib.ui.core.formatting import plain
from vizlib.ui.core.url_state import one_of, resend
from vizlib.ui.pages.models import findings, views
from vizlib.ui.pages.models.model_cards import draw_model_cards
from vizlib.ui.pages.models.report_tables import Report
from vizlib.ui.widgets.snippet import draw_snippet
from vizlib.zoo.cards import bundled_cards

if TYPE_CHECKING:
    from vizlib.ui.core.url_state import UrlState

VIEWS = {
    "accuracy": ("Accuracy", ":material/leaderboard:", views.draw_accuracy),
    "small_data": ("Small data", ":material/photo_library:", views.draw_small_data),
    "confusions": ("Confusions", ":material/grid_on:", views.draw_confusions),
    "calibration": ("Calibration", ":material/balance:", views.draw_calibration),
    "maps": ("Do maps find it?", ":material/my_location:", views.draw_maps),
    "cards": ("Cards", ":material/style:", draw_model_cards),
}
SNIPPET = """import vizlib
from vizlib.model_report.report_file import read_report

report = read_report()
for name, accuracy in report["accuracy"].items():
    share, low, high = accuracy["top1"]
    print(f"{name}: right for {share:.1%} ({low:.1%} to {high:.1%}) of {accuracy['images']} photographs")

model = vizlib.load("vit_tiny50")
print(model.card.training["training"]["command"])
"""


def draw_page(url_state: UrlState) -> str:
    """Every section; what the numbers were measured by and on, for the last line."""
    try:
        report = Report(report_file.read_report())
    except vizlib.TrainingError as error:
        st.error(plain(str(error)), icon=":material/error:")
        report = Report()
    key = url_state.declare("view", "accuracy", one_of(tuple(VIEWS)))
    _draw_state(report)
    st.segmented_control(
        "View", list(VIEWS), key=resend(key), format_func=lambda name: f"{VIEWS[name][1]} {VIEWS[name][0]}", required=True,
        label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    view = st.session_state[key]
    if report.names or view == "cards":
        VIEWS[view][2](report, url_state)
    else:
        draw_model_cards(report, url_state)
    draw_snippet(SNIPPET)
    return f"Measured by `{COMMAND}` on {report.section('about').get('data', '')}." if report.names else ""


def _draw_state(report: Report) -> None:
    """Who wins, and what the report lacks or has outlived."""
    if report.names:
        st.markdown(findings.who_wins(report))
    else:
        st.info(
            f"The bundled models have not been measured yet: `{COMMAND}` does it. Their cards are here already.",
            icon=":material/hourglass_empty:",
        )
    shipped = {card.name: (card.training or {}).get("sha256") for card in bundled_cards()}
    missing, other = report.stale(shipped)
    if report.names and missing:
        st.info(f"Not measured yet: {listed([short_name(name) for name in missing])}.", icon=":material/hourglass_empty:")
    if other:
        names = listed([short_name(name) for name in other])
        st.warning(f"The weights of {names} have changed since the report: `{COMMAND}` measures again.", icon=":material/history:")
