"""Models: who learns most from the same photographs, what they confuse, and whether their maps lie on the object."""

import streamlit as st

import vizlib
from vizlib.model_report.report_file import COMMAND, read_report
from vizlib.ui.core import navigation
from vizlib.ui.core.url_state import UrlState, one_of
from vizlib.ui.pages.models import findings, views
from vizlib.ui.pages.models.model_cards import draw_model_cards
from vizlib.ui.pages.models.report_tables import Report, short
from vizlib.zoo.cards import bundled_cards

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
for name, known in report["accuracy"].items():
    share, low, high = known["top1"]
    print(f"{name}: right for {share:.1%} ({low:.1%} to {high:.1%}) of {known['images']} photographs")

model = vizlib.load("vit_tiny50")
print(model.card.training["training"]["command"])
"""

arrived = navigation.open_page(
    "models",
    "Which architecture learns most?",
    "The same photographs, the same recipe, about the same size, and only the architecture differs: look at who is right most often, "
    "and whether chance could have made the difference.",
)
url_state = UrlState("models", arrived=arrived)
shipped = {card.name: (card.training or {}).get("sha256") for card in bundled_cards()}
try:
    report = Report(read_report())
except vizlib.TrainingError as error:
    st.error(str(error), icon=":material/error:")
    report = Report()

key = url_state.declare("view", "accuracy", one_of(tuple(VIEWS)))
if report.names:
    st.markdown(findings.who_wins(report))
else:
    st.info(
        f"The bundled models have not been measured yet: `{COMMAND}` does it. Their cards are here already.",
        icon=":material/hourglass_empty:",
    )
missing, other = report.stale(shipped)
if report.names and missing:
    st.info(f"Not measured yet: {findings.listed([short(name) for name in missing])}.", icon=":material/hourglass_empty:")
if other:
    st.warning(
        f"The weights of {findings.listed([short(name) for name in other])} have changed since the report: `{COMMAND}` measures again.",
        icon=":material/history:",
    )
view = st.segmented_control(
    "View",
    list(VIEWS),
    key=key,
    format_func=lambda name: f"{VIEWS[name][1]} {VIEWS[name][0]}",
    required=True,
    label_visibility="collapsed",
)
if report.names or view == "cards":
    VIEWS[view][2](report, url_state)
else:
    draw_model_cards(report, url_state)
with st.expander("Use it from Python", icon=":material/code:"):
    st.code(SNIPPET, language="python", wrap_lines=True)
if report.names:
    st.caption(f"Measured by `{COMMAND}` on {report.section('about').get('data', '')}. The address in your browser restores this view.")
url_state.write()
