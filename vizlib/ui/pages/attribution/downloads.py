"""What the page of attributions gives away: the sheet of maps, the arrays, the scores, and the Python that makes them."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.ui.pages.attribution import map_grid_data
from vizlib.ui.pages.attribution.scheduler import SLOT

if TYPE_CHECKING:
    from vizlib.ui.pages.attribution.scheduler import ExplainRequest, Goal, MethodScheduler, ModelAnswer
    from vizlib.ui.pages.attribution.sections import View
    from vizlib.ui.widgets.method_options import MethodChoice


def draw_files(board: MethodScheduler, answered: ModelAnswer, view: View, asked: Goal, questions: dict[str, MethodChoice]) -> None:
    """Downloads, and the exact Python."""
    st.header("Take it with you", anchor=False)
    stem = f"{Path(board.asking.picture.title).stem}-{board.asking.subject.name}-attribution".lower().replace(" ", "_")
    files = (
        (
            "PNG",
            "png",
            "image/png",
            partial(to_png, board, answered, view.wall),
            "image",
            "All maps over the photograph, with their badges.",
        ),
        ("NPZ", "npz", "application/octet-stream", partial(to_npz, board), "data_array", "Every map on the model's input, by method."),
        ("JSON", "json", "application/json", partial(to_json, board), "data_object", "Every score and check, with its definition."),
    )
    with st.container(horizontal=True):
        for label, end, kind, make, icon, help_ in files:
            st.download_button(
                label, make, f"{stem}.{end}", kind, key=f"{SLOT}file.{end}", icon=f":material/{icon}:", on_click="ignore", help=help_,
                disabled=end != "json" and not any(one.explanation is not None for one in board.standings()),
            )  # fmt: skip
    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(snippet(board.asking, asked, questions), language="python", wrap_lines=True)


def to_png(board: MethodScheduler, answered: ModelAnswer, look: dict[str, Any]) -> bytes:
    """The maps that are there as one picture, on the scale of the page."""
    from vizlib.figures.attribution_pictures import contact_sheet, tile
    from vizlib.figures.overlay import encode_png

    there = [(one, map_grid_data.scaled_map(one.explanation, answered.geometry.content)) for one in board.standings() if one.explanation]
    most = max(found.top for _, found in there)
    tiles = []
    for one, found in there:
        top = most if look["scale"] == "one" else found.top
        low = found.low if look["scale"] == "stretch" else 0.0
        badge = one.proof.badge if one.proof is not None else None
        note = "no badge" if badge is None else f"{badge.verdict} {badge.passed}/{badge.asked}"
        tiles.append((METHODS[one.name].title, note, tile(answered.photo, found.values, low, top, look["opacity"], signed=found.signed)))
    return encode_png(contact_sheet(tiles))


def to_npz(board: MethodScheduler) -> bytes:
    """The maps that are there, float64 (h, w), by the method's name."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {one.name: one.explanation.input_map for one in board.standings() if one.explanation is not None}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def to_json(board: MethodScheduler) -> str:
    """Where every method stands, in numbers."""
    asking = board.asking
    rows: dict[str, Any] = {}
    for one in board.standings():
        row: dict[str, Any] = {"options": asking.options.get(one.name, {})}
        if one.refusal:
            row["refused"] = one.refusal
        if one.explanation is not None:
            made = one.explanation
            row |= {"label": made.label, "sink": made.sink, "facts": made.facts, "notes": list(made.notes), "coarse": one.coarse}
        if one.proof is not None:
            proof = one.proof
            row["scores"] = {name: _plain(vars(score)) for name, score in proof.scores.items()}
            row["checks"] = {
                name: _plain({key: value for key, value in vars(check).items() if key != "map"}) for name, check in proof.checks.items()
            }
            row["not_measured"] = list(proof.refused)
            if proof.badge is not None:
                row["badge"] = {
                    "verdict": proof.badge.verdict,
                    "words": proof.badge.words,
                    "passed": proof.badge.passed,
                    "asked": proof.badge.asked,
                }
        elif one.proof_refusal:
            row["not_measured"] = [one.proof_refusal]
        rows[one.name] = row
    goal = list(asking.goal) if isinstance(asking.goal, tuple) else asking.goal
    head = {"model": asking.subject.name, "picture": asking.picture.title, "fit": asking.fit, "target": goal}
    return json.dumps({**head, "methods": rows}, indent=1, ensure_ascii=False) + "\n"


def snippet(asking: ExplainRequest, asked: Goal, questions: dict[str, MethodChoice]) -> str:
    """The Python behind the wall and its badges."""
    code = asking.picture.code
    imports = "import skimage\n\n" if code.startswith("skimage.") else ""
    target = "" if asked is None else f", target={asked!r}"
    fit = "" if asking.fit is None else f', fit="{asking.fit}"'
    methods = "".join(f'    "{name}": {_arguments(question.changed)},\n' for name, question in questions.items())
    return f"""{imports}import vizlib
from vizlib.evaluation.badge import badge
from vizlib.evaluation.faithfulness import FaithfulnessScorer
from vizlib.evaluation.sanity_checks import sanity_checks

model = {asking.subject.code}
image = vizlib.read_image({code})
methods = {{
{methods}}}
scorer = FaithfulnessScorer(model, image{target}{fit})  # measures the random maps once, for all methods
for name, options in methods.items():
    explanation = vizlib.explain(model, image, name{target}{fit}, **options)
    scores = scorer.score(explanation)
    checks = sanity_checks(model, image, explanation)
    verdict = badge(scores, checks)
    print(f"{{name}}: {{verdict.verdict}}, {{verdict.passed}} of {{verdict.asked}}. {{verdict.words}}")
    explanation.save(f"maps/{{name}}")
"""


def _arguments(options: dict[str, Any]) -> str:
    return (
        "{"
        + ", ".join(f'"{name}": {json.dumps(value) if isinstance(value, str) else repr(value)}' for name, value in options.items())
        + "}"
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers as JSON takes them; NaN, which it does not take, as null."""
    found = {}
    for name, value in values.items():
        plain = value.item() if isinstance(value, np.generic) else value
        found[name] = None if isinstance(plain, float) and not np.isfinite(plain) else plain
    return found
