"""The parts of the page of inductive biases: what is asked, the claim and whether it holds here, the lab, curves and files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.analysis.perturbation.cards import CARDS
from vizlib.ui.components.response_lab import response_lab
from vizlib.ui.core import computations, job_slots
from vizlib.ui.core.computations import ModelChoice
from vizlib.ui.core.formatting import plain
from vizlib.ui.core.pictures import SAMPLES, sample
from vizlib.ui.core.url_state import number, one_of, resend
from vizlib.ui.pages.biases import response_data
from vizlib.ui.pages.biases.claims import ALONE, CLAIMS, needed, verdict
from vizlib.ui.pages.biases.response_data import Experiment, strength_text
from vizlib.ui.pages.models.report_tables import short
from vizlib.ui.widgets import pickers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from vizlib.engine.jobs import Job
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.biases.response_data import ModelResponse

_FIRST_MODELS = ("vit_tiny50", "resnet_tiny50", "cct_tiny50")
_MOST = 5
_MEASURES = {
    "probability": ("Probability", "probability of its first answer", ".0%"),
    "kl": ("Answer moved", "KL(original ‖ changed), nats", ".2f"),
    "readout": ("Read-out", "cosine of the read-out with itself", ".2f"),
}
_DRIFTS = {"now": "At this strength", "all": "At every strength"}
_SALIENCE = {"grad_cam": "Grad-CAM", "rollout": "attention rollout"}
DEFINITIONS = (
    "**Drift** of a layer: the features of the changed picture, with their cells put back to where the picture's places were (read "
    "linearly between cells), minus the features of the picture as it is; its norm over that of the features around their mean. 0 is exact "
    "equivariance, 1 is no better than a constant map. After a motion only cells are compared that, with "
    f"{response_data.MARGIN:g}\u00a0px around them, showed the picture before and after; a blank means that there is none, or that the "
    "change cuts through the cells. Edges are filled by mirroring, hidden patches with the picture's mean colour, for all models alike. "
    "**Read-out**: the cosine between what the classifier reads before and after."
)


def pick_models(url_state: UrlState) -> list[ModelChoice]:
    """Models of one input size, so that a pixel is a pixel for all of them; those of another are left out with a word."""
    cards = pickers.pick_models(url_state, _FIRST_MODELS, _MOST)
    alike = [card for card in cards if card.input_size == cards[0].input_size]
    others = [card for card in cards if card not in alike]
    if others:
        height, width = cards[0].input_size
        sizes = ", ".join(f"{plain(card.title)} takes {card.input_size[0]} × {card.input_size[1]}" for card in others)
        st.info(
            f"{plain(cards[0].title)} takes {height} × {width} pixels, and {sizes}. A shift of 4 pixels would not be the same for both, "
            "so only models of the first one's size are asked.",
            icon=":material/straighten:",
        )
    return [ModelChoice(card.name, card=card) for card in alike]


def pick_experiment(url_state: UrlState, picture: Picture) -> tuple[str, Experiment]:
    """A claim, or a change on one's own, and what the change needs: the name of the claim, and the question."""
    state = st.session_state
    claim_key = url_state.declare("claim", next(iter(CLAIMS)), one_of((*CLAIMS, ALONE)))
    preset = CLAIMS.get(state[claim_key])
    change_key = url_state.declare("change", "shift" if preset is None else preset.perturbation, one_of(tuple(CARDS)))
    at_key = url_state.declare("at", None, number(-1e6, 1e6), lambda value: None if value is None else f"{value:g}")

    def take_claim() -> None:
        taken = CLAIMS.get(state[claim_key])
        state[at_key] = None
        if taken is not None:
            state[change_key] = taken.perturbation

    def take_change() -> None:
        state[at_key] = None
        taken = CLAIMS.get(state[claim_key])
        if taken is not None and taken.perturbation != state[change_key]:
            state[claim_key] = ALONE

    if preset is not None and state[change_key] != preset.perturbation:  # a link that contradicts itself
        state[claim_key] = ALONE
    st.pills(
        "Claim", [*CLAIMS, ALONE], key=resend(claim_key), required=True, on_change=take_claim,
        format_func=lambda name: CLAIMS[name].title if name in CLAIMS else "On your own",
    )  # fmt: skip
    claim, card = state[claim_key], CARDS[state[change_key]]
    if state[at_key] not in (None, *card.strengths):
        state[at_key] = None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Change", list(CARDS), key=resend(change_key), format_func=lambda name: CARDS[name].title, on_change=take_change)
        partner = _pick_partner(url_state, picture) if card.needs == "other" else ""
        salience = _pick_salience(url_state) if card.needs == "salience" else ""
        seed = _pick_seed(url_state) if card.seeded else 0
    return claim, Experiment(card.name, partner, salience, seed)


def _pick_partner(url_state: UrlState, picture: Picture) -> str:
    choices = [name for name in SAMPLES if f"sample:{name}" != picture.identity]
    key = url_state.declare("partner", choices[0], one_of(tuple(SAMPLES)))
    if st.session_state[key] not in choices:
        st.session_state[key] = choices[0]
    return st.selectbox("Other picture", choices, key=resend(key), format_func=lambda name: SAMPLES[name].title)


def _pick_salience(url_state: UrlState) -> str:
    key = url_state.declare("salience", "grad_cam", one_of(tuple(_SALIENCE)))
    return st.selectbox(
        "Salient by", list(_SALIENCE), key=resend(key), format_func=lambda name: f"each model's own {_SALIENCE[name]}",
        help="The map is made once, of the picture as it is and for the model's own answer. A CNN has no attention to roll out.",
    )  # fmt: skip


def _pick_seed(url_state: UrlState) -> int:
    key = url_state.declare("seed", 0, lambda text: int(number(0, 999)(text)))
    return int(st.number_input("Draw", 0, 999, key=key, step=1, help="Another number is another draw of what is random."))


def submit_responses(
    models: Sequence[ModelChoice], question: Experiment, picture: Picture, fit: str | None
) -> list[Job[ModelResponse] | None]:
    """The jobs, one a model."""
    partner = sample(question.partner) if question.partner else None
    jobs = [
        computations.compute(
            _slot(one),
            one,
            picture,
            fit,
            lambda model, progress: response_data.compute_response(question, model, picture, partner, fit, progress),
            question.key,
        )
        for one in models
    ]
    job_slots.wait_for(jobs)
    return jobs


def results_or_status(models: Sequence[ModelChoice], jobs: Sequence[Job[ModelResponse] | None]) -> list[ModelResponse]:
    """What has been answered; where there is nothing yet, why is drawn."""
    found = [computations.result_or_status(_slot(one), one, job, "Choose another model.") for one, job in zip(models, jobs, strict=True)]
    drawn = zip(found, models, response_data.marks(models), strict=True)
    return [replace(made, name=one.name, mark=mark) for made, one, mark in drawn if made is not None]


def _slot(one: ModelChoice) -> str:
    return f"biases.{one.name}"


def draw_claim(claim: str, answers: Sequence[ModelResponse], chosen: Sequence[ModelChoice]) -> None:
    """The claim, what to expect, and what was measured here."""
    preset = CLAIMS.get(claim)
    if preset is None:
        return
    found = {one.name: one.response for one in answers}
    missing = [short(name) for name in needed(preset) if name not in {one.name for one in chosen}]
    with st.container(border=True):
        st.markdown(f"**The claim.** {preset.claim} {preset.paper}.")
        st.markdown(f"**To expect:** {preset.expect}")
        if missing:
            st.markdown(f"**Measured here:** choose {' and '.join(missing)} above to put it to the test.")
        elif all(name in found for name in needed(preset)):
            held = verdict(preset, found)
            badge = {
                True: ":green-badge[:material/check: as expected]",
                False: ":orange-badge[:material/close: not as expected]",
                None: ":gray-badge[:material/remove: no clear difference]",
            }[held.agrees]
            st.markdown(f"**Measured here:** {held.sentence} {badge}")
            st.caption("One picture and one small model of each kind: a case, not a proof. Another picture may well say otherwise.")


def draw_lab(claim: str, question: Experiment, answers: Sequence[ModelResponse]) -> float:
    """The component; which strength it stands on."""
    card, state = CARDS[question.perturbation], st.session_state
    default = CLAIMS[claim].at if claim in CLAIMS else card.strengths[len(card.strengths) // 2]
    told = state.setdefault("biases.told", {"token": None, "at": None, "message": b""})
    chosen = state["biases.at"]
    at = default if chosen is None else chosen

    def take() -> None:
        strength = (state["biases.lab"].view or {}).get("at")
        if strength in card.strengths:
            state["biases.at"] = told["at"] = float(strength)

    token = (question.key, tuple((one.mark, id(one.response)) for one in answers))
    # A strength that the browser itself told is there already: the pictures are not sent again for it.
    if told["token"] != token or told["at"] != chosen:
        told |= {"token": token, "at": chosen, "message": response_data.pack_response_lab(answers, at), "answers": list(answers)}
    response_lab(told["message"], key="biases.lab", on_change=take)
    return at


def view_keys(url_state: UrlState) -> tuple[str, str]:
    """The keys of what the charts show, declared before there is anything to show, so that a link keeps them."""
    return url_state.declare("measure", "probability", one_of(tuple(_MEASURES))), url_state.declare("drift", "now", one_of(tuple(_DRIFTS)))


def draw_curves(keys: tuple[str, str], answers: Sequence[ModelResponse], at: float) -> None:
    """Answer and read-out over the strengths, and the drift of every layer."""
    from vizlib.figures import response_charts
    from vizlib.figures.comparison_charts import Curve, along_depth

    first = answers[0].response
    card, place = CARDS[first.perturbation], first.strengths.index(at)
    names = [strength_text(card, strength) for strength in first.strengths]
    st.subheader("Whose answer holds", anchor=False)
    measure = _choose("Measure", {name: one[0] for name, one in _MEASURES.items()}, keys[0])
    _, title, form = _MEASURES[measure]
    lines = [
        (one.mark, {"probability": one.response.curve, "kl": one.response.divergence, "readout": one.response.readout}[measure].tolist())
        for one in answers
    ]
    _chart(
        response_charts.curves(lines, names, (card.title.lower(), title), place, tick_format=form),
        "curves",
        f"{title} over {card.title.lower()}, a line a model",
    )
    st.subheader("Which layers drift", anchor=False)
    shown = _choose("Drift", _DRIFTS, keys[1])
    if shown == "now":
        st.markdown(f"{card.title}: **{names[place]}**.")
        depths = [
            Curve(
                one.mark,
                [layer.depth for layer in one.response.layers],
                one.response.drift[:, place].tolist(),
                [layer.name for layer in one.response.layers],
            )
            for one in answers
        ]
        _chart(along_depth(depths, "drift", zero=True), "depth", f"Drift of every layer at {names[place]}")
    else:
        maps = [(one.mark, [layer.name for layer in one.response.layers], one.response.drift) for one in answers]
        _chart(response_charts.drift_maps(maps, names), "maps", "Drift of every layer at every strength, a heat map a model")
    if any(np.isnan(one.response.drift[:, place]).any() for one in answers):
        st.caption("Some layers have no cell that can be compared at this strength: their cells are too large for it.")
    st.caption(DEFINITIONS)


def draw_files(answers: Sequence[ModelResponse], picture: Picture) -> None:
    """The numbers and the pictures to take away."""
    first = answers[0].response
    stem = f"{Path(picture.title).stem}-{first.perturbation}".lower().replace(" ", "_")

    def png() -> bytes:
        from vizlib.figures.overlay import encode_png
        from vizlib.figures.response_charts import strip

        rows = [
            (f"{one.mark.label}: probability of {one.labels[one.response.target]}", one.pictures,
             [f"{value:g}: {100 * share:.0f} %" for value, share in zip(first.strengths, one.response.curve, strict=True)])
            for one in answers
        ]  # fmt: skip
        return encode_png(strip(rows))

    with st.container(horizontal=True):
        st.download_button(
            "PNG", png, f"{stem}.png", "image/png", key="biases.png", icon=":material/image:", on_click="ignore",
            help="The pictures as each model got them, with the probability of its first answer.",
        )  # fmt: skip
        st.download_button(
            "CSV", partial(response_data.to_csv, list(answers)), f"{stem}.csv", "text/csv", key="biases.csv", icon=":material/table:",
            on_click="ignore", help="All numbers: answers, divergence, read-out and drift of every layer at every strength.",
        )  # fmt: skip


def snippet(models: Sequence[ModelChoice], question: Experiment, picture: Picture, fit: str | None) -> str:
    """The Python behind the page's numbers."""
    codes = [picture.code, *([sample(question.partner).code] if question.partner else [])]
    imports = "import skimage\n" if any(code.startswith("skimage.") for code in codes) else ""
    imports += "import torch\n" if question.salience else ""
    given = "" if fit is None else f', "{fit}"'
    options = [*([f"seed={question.seed}"] if question.seed else []), f"margin={response_data.MARGIN:g}"]
    lines = ""
    if question.partner:
        lines += f"    other = to_pixels(model, model.prepare(vizlib.read_image({codes[1]}){given}))[0]\n"
        options.append("other=other")
    if question.salience:
        lines += f'    salience = torch.from_numpy(vizlib.explain(model, x, "{question.salience}").input_map)\n'
        options.append("salience=salience")
    pixels = ", to_pixels" if question.partner else ""
    loads = ", ".join(one.code for one in models)
    return f"""{imports}{chr(10) if imports else ""}import vizlib
from vizlib.analysis.perturbation.registry import Aids
from vizlib.analysis.perturbation.response_curves import response{pixels}

image = vizlib.read_image({picture.code})
for model in [{loads}]:
    x = model.prepare(image{given})
{lines}    found = response(model, x, "{question.perturbation}", aids=Aids({", ".join(options)}))
    print(model.card.name, model.label(found.target), found.original[found.target])
    print(found.strengths, found.curve, found.divergence, found.readout)
    print([layer.name for layer in found.layers], found.drift)  # layers x strengths
"""


def _choose(label: str, choices: dict[str, str], key: str) -> str:
    st.segmented_control(
        label, list(choices), key=resend(key), format_func=lambda one: choices[one], required=True, label_visibility="collapsed"
    )
    return st.session_state[key]


def _chart(figure: go.Figure, key: str, alt: str) -> None:
    from vizlib.figures.charts import CONFIG

    st.plotly_chart(figure, key=f"biases.{key}", config=CONFIG, alt=alt)
