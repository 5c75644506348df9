"""What the page of attributions gives away: the sheet of maps, the arrays, the scores, and the Python that makes them."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.figures.map_scale import share_above
from vizlib.figures.numbers import percent, significant
from vizlib.ui.core.contents import heading
from vizlib.ui.pages.attribution import map_grid_data
from vizlib.ui.pages.attribution.scheduler import SLOT
from vizlib.ui.widgets.downloads import download_button, file_stem, npz
from vizlib.ui.widgets.snippet import draw_snippet

if TYPE_CHECKING:
    from vizlib.ui.pages.attribution.map_work import Goal, ModelAnswer
    from vizlib.ui.pages.attribution.scheduler import ExplainRequest, MethodScheduler
    from vizlib.ui.pages.attribution.view import View
    from vizlib.ui.widgets.method_options import MethodChoice


def draw_files(scheduler: MethodScheduler, answer: ModelAnswer, view: View, goal: Goal, choices: dict[str, MethodChoice]) -> None:
    """Downloads, and the exact Python."""
    heading("Take it with you")
    request = scheduler.request
    stem = file_stem(request.picture, request.model, "attribution")
    empty = not any(state.explanation is not None for state in scheduler.states())
    with st.container(horizontal=True):
        download_button(
            f"{stem}.png", partial(to_png, scheduler, answer, view.grid), key=f"{SLOT}file.png", disabled=empty,
            hint="All maps over the picture, with their badges.",
        )  # fmt: skip
        download_button(
            f"{stem}.npz", partial(to_npz, scheduler), key=f"{SLOT}file.npz", disabled=empty,
            hint="Every map on the model's input, by method.",
        )  # fmt: skip
        download_button(
            f"{stem}.json", partial(to_json, scheduler), key=f"{SLOT}file.json", hint="Every score and check, with its definition."
        )
    draw_snippet(snippet(request, goal, choices))


def to_png(scheduler: MethodScheduler, answer: ModelAnswer, appearance: dict[str, Any]) -> bytes:
    """The maps that are there as one picture, on the scale of the page."""
    from vizlib.figures.attribution_pictures import contact_sheet, tile
    from vizlib.figures.overlay import encode_png

    drawn = [
        (state, map_grid_data.scaled_map(state.explanation, answer.geometry.content)) for state in scheduler.states() if state.explanation
    ]
    most = max(scaled.top for _, scaled in drawn)
    tiles = []
    for state, scaled in drawn:
        low, top = scaled.ends(appearance["scale"], most)
        badge = state.proof.badge if state.proof is not None else None
        note = "no badge" if badge is None else f"{badge.passed} of {badge.tests} passed"
        note += f", {scale_words(scaled, low, top, map_grid_data.content_cells(answer.geometry.content, scaled.values.shape))}"
        picture = tile(answer.photo, scaled.values, low, top, appearance["opacity"], signed=scaled.signed)
        tiles.append((METHODS[state.name].title, note, picture))
    return encode_png(contact_sheet(tiles))


def scale_words(scaled: map_grid_data.ScaledMap, low: float, top: float, content: np.ndarray) -> str:
    """Where the colours of a map begin and end, and how much of the picture, ``content`` (h, w), lies beyond."""
    span = (
        f"to \u00b1{significant(top)}"
        if scaled.signed
        else f"from {significant(low)}\u00d7 to {significant(top)}"
        if low
        else f"to {significant(top)}"
    )
    beyond = share_above(scaled.values[content > 0], top)
    return f"colours {span}\u00d7" + (f", {percent(beyond)} {'beyond' if scaled.signed else 'above'}" if beyond else "")


def to_npz(scheduler: MethodScheduler) -> bytes:
    """The maps that are there, float64 (h, w), by the method's name."""
    return npz(**{state.name: state.explanation.input_map for state in scheduler.states() if state.explanation is not None})


def to_json(scheduler: MethodScheduler) -> str:
    """Where every method stands, in numbers."""
    request = scheduler.request
    rows: dict[str, Any] = {}
    for state in scheduler.states():
        row: dict[str, Any] = {"options": request.options.get(state.name, {})}
        if state.refusal:
            row["refused"] = state.refusal
        if state.explanation is not None:
            explanation = state.explanation
            row |= {"label": explanation.label, "sink": explanation.sink, "facts": explanation.facts}
            row |= {"notes": list(explanation.notes), "coarse": state.coarse}
        if state.proof is not None:
            proof = state.proof
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
                    "tests": proof.badge.tests,
                }
        elif state.proof_refusal:
            row["not_measured"] = [state.proof_refusal]
        rows[state.name] = row
    goal = list(request.goal) if isinstance(request.goal, tuple) else request.goal
    head = {"model": request.model.name, "picture": request.picture.title, "fit": request.fit, "target": goal}
    return json.dumps({**head, "methods": rows}, indent=1, ensure_ascii=False) + "\n"


def snippet(request: ExplainRequest, goal: Goal, choices: dict[str, MethodChoice]) -> str:
    """The Python behind the grid and its badges."""
    target = "" if goal is None else f", target={goal!r}"
    fit = "" if request.fit is None else f', fit="{request.fit}"'
    methods = "".join(f'    "{name}": {_arguments(choice.changed)},\n' for name, choice in choices.items())
    return f"""{request.picture.imports}import vizlib
from vizlib.evaluation.badge import badge
from vizlib.evaluation.faithfulness import FaithfulnessScorer
from vizlib.evaluation.sanity_checks import sanity_checks

model = {request.model.code}
image = vizlib.read_image({request.picture.code})
methods = {{
{methods}}}
scorer = FaithfulnessScorer(model, image{target}{fit})  # measures the random maps once, for all methods
for name, options in methods.items():
    explanation = vizlib.explain(model, image, name{target}{fit}, **options)
    scores = scorer.score(explanation)
    checks = sanity_checks(model, image, explanation)
    verdict = badge(scores, checks)
    print(f"{{name}}: {{verdict.verdict}}, {{verdict.passed}} of {{verdict.tests}}. {{verdict.words}}")
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
    numbers = {}
    for name, value in values.items():
        plain = value.item() if isinstance(value, np.generic) else value
        numbers[name] = None if isinstance(plain, float) and not np.isfinite(plain) else plain
    return numbers
