"""The parts of the page of inductive biases: what is asked, the claim and whether it holds here, the lab, curves and files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.analysis.perturbation.cards import CARDS
from vizlib.engine.work_order import Lane
from vizlib.figures.layer_names import layer_title
from vizlib.figures.model_marks import marks_of, short_name
from vizlib.figures.numbers import percent
from vizlib.ui.components.response_lab import response_lab
from vizlib.ui.core import computations, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.contents import heading
from vizlib.ui.core.formatting import plain
from vizlib.ui.core.pictures import SAMPLES, imports_of, sample
from vizlib.ui.core.url_state import number, one_of, resend
from vizlib.ui.pages.biases import response_data
from vizlib.ui.pages.biases.claims import ALONE, CLAIMS, claim_of, needed, untested
from vizlib.ui.pages.biases.response_data import Experiment, strength_text
from vizlib.ui.widgets.claim_card import draw_claim
from vizlib.ui.widgets.downloads import download_row, file_stem
from vizlib.ui.widgets.model_picker import pick_models
from vizlib.ui.widgets.snippet import draw_snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.biases.claims import Preset
    from vizlib.ui.pages.biases.response_data import ModelResponse

_FIRST_MODELS = ("vit_tiny50", "resnet_tiny50", "cct_tiny50")
_MOST = 5
_MEASURES = {
    "probability": ("Probability", "probability of its first answer", ".0%"),
    "kl": ("Divergence", "KL(original ‖ changed), nats, 0: the same", ".2f"),
    "readout": ("Read-out", "cosine of the read-out, before and after", ".2f"),
}
_DRIFTS = {"now": "At this strength", "all": "At every strength"}
_SALIENCE = {"grad_cam": "Grad-CAM", "rollout": "attention rollout"}
DEFINITIONS = (
    "**Drift** of a layer: the features of the changed picture, with their cells put back to where the picture's places were (read "
    "linearly between cells), minus the features of the picture as it is; its norm over that of the features around their mean. 0 is exact "
    "equivariance, 1 is no better than a constant map. After a motion only cells are compared that, with "
    f"{response_data.MARGIN:g}\u00a0px around them, showed the picture before and after; a blank means that there is none, that the "
    "change cuts through the cells, or that the map was the same everywhere before. Edges are filled by mirroring, hidden patches with the "
    "picture's mean colour, for all models alike. "
    "**Read-out**: the cosine between what the classifier reads before and after (1: alike, 0: unrelated). **Divergence**: the "
    "Kullback-Leibler divergence between the answers to the picture as it is and to the changed one, over all classes (0: the same)."
)
_WAVES = "A picture is a sum of waves (its Fourier transform); one of 4 cycles goes from light to dark and back 4 times across it."
_PARTS = "A picture is a sum of waves (its Fourier transform): an amplitude is how strong a wave is, a phase where its crests lie."
NOTES = {"low_pass": _WAVES, "high_pass": _WAVES, "amplitude": _PARTS, "phase": _PARTS}
"""What the words of a change mean."""


def draw_page(models: Sequence[ModelChoice], picture: Picture, fit: str | None, url_state: UrlState) -> None:
    """What is asked, the claim, the lab and the charts, as far as there are answers."""
    claim, experiment = pick_experiment(url_state, picture)
    view = view_keys(url_state)
    if not models:
        st.info("Choose a model to ask.", icon=":material/touch_app:")
        return
    jobs = submit_responses(models, experiment, picture, fit)
    answers = results_or_status(models, jobs)
    at = draw_lab(claim, experiment, answers) if answers else 0.0
    draw_preset(claim, answers, models, experiment, picture, fit)
    if answers:
        draw_curves(view, answers, at)
        draw_files(answers, picture)
    draw_snippet(snippet(models, experiment, picture, fit))


def pick_alike(url_state: UrlState) -> list[ModelChoice]:
    """Models of one input size, so that a pixel is a pixel for all of them; those of another are left out with a word."""
    chosen = [(model, model.card) for model in pick_models(url_state, _FIRST_MODELS, _MOST) if model.card is not None]
    for card in (card for _, card in chosen if "head" in card.refusals):
        st.info(
            f"{plain(card.title)} is not asked: this page watches whose answer holds, and it has no classes to answer with.",
            icon=":material/block:",
        )
    cards = [(model, card) for model, card in chosen if "head" not in card.refusals]
    if not cards:
        return []
    first = cards[0][1]
    others = [card for _, card in cards if card.input_size != first.input_size]
    if others:
        height, width = first.input_size
        sizes = ", ".join(f"{plain(card.title)} takes {card.input_size[0]} × {card.input_size[1]}" for card in others)
        st.info(
            f"{plain(first.title)} takes {height} × {width} pixels, and {sizes}. A shift of 4 pixels would not be the same for both, "
            "so only models of the first one's size are asked.",
            icon=":material/straighten:",
        )
    return [model for model, card in cards if card.input_size == first.input_size]


def pick_experiment(url_state: UrlState, picture: Picture) -> tuple[str, Experiment]:
    """A claim, or a change on one's own, and what the change needs: the name of the claim, and the experiment."""
    state = st.session_state
    claim_key = url_state.declare("claim", next(iter(CLAIMS)), one_of((*CLAIMS, ALONE)))
    preset = CLAIMS.get(state[claim_key])
    change_key = url_state.declare("change", "shift" if preset is None else preset.perturbation, one_of(tuple(CARDS)))
    at_key = url_state.declare("at", None, number(-1e6, 1e6), lambda value: None if value is None else f"{value:g}")

    def take_claim() -> None:
        claimed = CLAIMS.get(state[claim_key])
        state[at_key] = None
        if claimed is not None:
            state[change_key] = claimed.perturbation

    def take_change() -> None:
        state[at_key] = None
        claimed = CLAIMS.get(state[claim_key])
        if claimed is not None and claimed.perturbation != state[change_key]:
            state[claim_key] = ALONE

    if preset is not None and state[change_key] != preset.perturbation:  # a link that contradicts itself
        state[claim_key] = ALONE
    st.pills(
        "Claim", [*CLAIMS, ALONE], key=resend(claim_key), required=True, on_change=here(take_claim),
        format_func=lambda name: CLAIMS[name].title if name in CLAIMS else "On your own", wrap=True,
    )  # fmt: skip
    claim, card = state[claim_key], CARDS[state[change_key]]
    if state[at_key] not in (None, *card.strengths):
        state[at_key] = None
    more = card.needs in ("other", "salience") or card.seeded
    left, right = st.columns(2, gap="medium", vertical_alignment="bottom") if more else (st.container(), st.container())
    with left:  # above the other on a telephone, or its words would be cut
        st.selectbox("Change", list(CARDS), key=resend(change_key), format_func=lambda name: CARDS[name].title, on_change=here(take_change))
    with right.container(horizontal=True, vertical_alignment="bottom"):
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
    return int(
        st.number_input(
            "Draw", 0, 999, key=key, step=1, value=st.session_state[key], help="Another number is another draw of what is random."
        )
    )


def submit_responses(
    models: Sequence[ModelChoice], experiment: Experiment, picture: Picture, fit: str | None
) -> list[Job[ModelResponse] | None]:
    """The jobs, one a model."""
    partner = sample(experiment.partner) if experiment.partner else None
    key = ("response", picture.identity, fit, experiment)

    work = partial(response_data.compute_response, experiment, picture=picture, partner=partner, fit=fit)
    jobs = [computations.compute(_slot(model), key, [model], work, lane=Lane.HEAVY) for model in models]
    job_slots.wait_for(jobs)
    return jobs


def results_or_status(models: Sequence[ModelChoice], jobs: Sequence[Job[ModelResponse] | None]) -> list[ModelResponse]:
    """What has been answered; where there is nothing yet, why is drawn."""
    answers = [computations.result_or_status(_slot(model), job, [model]) for model, job in zip(models, jobs, strict=True)]
    marks = marks_of([model.name for model in models], [model.display_name for model in models])
    rows = zip(answers, models, marks, strict=True)
    return [replace(answer, name=model.name, mark=mark) for answer, model, mark in rows if answer is not None]


def _slot(model: ModelChoice) -> str:
    return f"biases.{model.name}"


def draws_or_status(
    preset: Preset, models: Sequence[ModelChoice], experiment: Experiment, picture: Picture, fit: str | None
) -> dict[str, np.ndarray] | None:
    """What both models of a claim keep over several draws, by name; None before both are there."""
    work = partial(response_data.compute_draws, experiment, picture=picture, fit=fit)
    compared = [model for model in models if model.name in needed(preset)]
    key = ("draws", picture.identity, fit, experiment)
    jobs = [computations.compute(f"biases.draws.{model.name}", key, [model], work, lane=Lane.HEAVY) for model in compared]
    job_slots.wait_for(jobs)
    draws = [computations.result_or_status(f"biases.draws.{model.name}", job, [model]) for model, job in zip(compared, jobs, strict=True)]
    kept = {model.name: shares for model, shares in zip(compared, draws, strict=True) if shares is not None}
    return kept if len(kept) == len(compared) else None


def draw_preset(
    claim: str,
    answers: Sequence[ModelResponse],
    chosen: Sequence[ModelChoice],
    experiment: Experiment,
    picture: Picture,
    fit: str | None,
) -> None:
    """The claim, what to expect, and what was measured here: over several draws where something is drawn."""
    preset = CLAIMS.get(claim)
    if preset is None:
        return
    home = st.container()
    responses = {answer.name: answer.response for answer in answers}
    missing = [short_name(name) for name in needed(preset) if name not in {model.name for model in chosen}]
    if missing:
        draw_claim(untested(preset, f"choose {' and '.join(missing)} above to put it to the test."))
        return
    draws = None
    if all(name in responses for name in needed(preset)):
        draws = draws_or_status(preset, chosen, experiment, picture, fit) if CARDS[experiment.perturbation].seeded else {}
    with home:  # over what says how far the draws are
        if draws is None:
            draw_claim(untested(preset, "not there yet."))
        else:
            draw_claim(
                claim_of(preset, responses, draws or None, changed=all(answer.changed for answer in answers)),
                "One picture and one small model of each kind: a case, not a proof. Another picture may well say otherwise.",
            )


def draw_lab(claim: str, experiment: Experiment, answers: Sequence[ModelResponse]) -> float:
    """The component; which strength it stands on."""
    card, state = CARDS[experiment.perturbation], st.session_state
    default = CLAIMS[claim].at if claim in CLAIMS else card.strengths[len(card.strengths) // 2]
    sent = state.setdefault("biases.sent", {"token": None, "at": None, "message": b""})
    chosen = state["biases.at"]
    at = default if chosen is None else chosen

    def take() -> None:
        strength = (state["biases.lab"].view or {}).get("at")
        if strength in card.strengths:
            state["biases.at"] = sent["at"] = float(strength)

    token = (experiment.key, tuple((answer.mark, id(answer.response)) for answer in answers))
    # A strength that the browser itself chose is there already: the pictures are not sent again for it.
    if sent["token"] != token or sent["at"] != chosen:
        sent |= {"token": token, "at": chosen, "message": response_data.pack_response_lab(answers, at), "answers": list(answers)}
    response_lab(sent["message"], key="biases.lab", on_change=here(take))
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
    in_unit = f",<br>{card.unit}" if card.unit.startswith("cycles") else ""  # on a line of its own, or a telephone would cut it
    heading("Whose answer holds", sub=True)
    measure = _choose("Measure", {name: titles[0] for name, titles in _MEASURES.items()}, keys[0])
    _, title, form = _MEASURES[measure]
    lines = [(answer.mark, _measured(answer, measure)) for answer in answers]
    _chart(
        response_charts.curves(lines, names, (card.words + in_unit, title), place, tick_format=form),
        "curves",
        f"{title} over {card.words}, a line a model",
    )
    heading("Which layers drift", sub=True)
    shown = _choose("Drift", _DRIFTS, keys[1])
    if shown == "now":
        st.markdown(f"{card.title}: **{names[place]}**.")
        depths = [
            Curve(
                answer.mark,
                [layer.depth for layer in answer.response.layers],
                answer.response.drift[:, place].tolist(),
                [layer_title(layer.name) for layer in answer.response.layers],
            )
            for answer in answers
        ]
        _chart(along_depth(depths, "drift", zero=True), "depth", f"Drift of every layer at {names[place]}")
    else:
        maps = [(answer.mark, [layer_title(layer.name) for layer in answer.response.layers], answer.response.drift) for answer in answers]
        _chart(response_charts.drift_maps(maps, names), "maps", "Drift of every layer at every strength, a heat map a model")
    if any(np.isnan(answer.response.drift[:, place]).any() for answer in answers):
        st.caption("Some layers have no cell that can be compared at this strength, and are blank; why is said below.")
    st.caption(f"{NOTES[card.name]} {DEFINITIONS}" if card.name in NOTES else DEFINITIONS)


def _measured(answer: ModelResponse, measure: str) -> list[float]:
    response = answer.response
    return {"probability": response.curve, "kl": response.divergence, "readout": response.readout}[measure].tolist()


def draw_files(answers: Sequence[ModelResponse], picture: Picture) -> None:
    """The numbers and the pictures to take away."""
    first = answers[0].response

    def png() -> bytes:
        from vizlib.figures.overlay import encode_png
        from vizlib.figures.response_charts import strip

        rows = [
            (f"{answer.mark.label}: probability of {answer.labels[answer.response.target]}", answer.pictures,
             [f"{strength:g}: {percent(share)}" for strength, share in zip(first.strengths, answer.response.curve, strict=True)])
            for answer in answers
        ]  # fmt: skip
        return encode_png(strip(rows))

    numbers = "All numbers: answers, divergence, read-out and drift of every layer at every strength."
    download_row(
        file_stem(picture, first.perturbation),
        "biases",
        ("png", png, "The pictures as each model got them, with the probability of its first answer."),
        ("csv", partial(response_data.responses_csv, list(answers)), numbers),
    )


def snippet(models: Sequence[ModelChoice], experiment: Experiment, picture: Picture, fit: str | None) -> str:
    """The Python behind the page's numbers."""
    codes = [picture.code, *([sample(experiment.partner).code] if experiment.partner else [])]
    imports = imports_of(*codes)
    imports += "import torch\n" if experiment.salience else ""
    given = "" if fit is None else f', "{fit}"'
    options = [*([f"seed={experiment.seed}"] if experiment.seed else []), f"margin={response_data.MARGIN:g}"]
    lines = ""
    if experiment.partner:
        lines += f"    other = to_pixels(model, model.prepare(vizlib.read_image({codes[1]}){given}))[0]\n"
        options.append("other=other")
    if experiment.salience:
        lines += f'    salience = torch.from_numpy(vizlib.explain(model, x[0], "{experiment.salience}").input_map)\n'
        options.append("salience=salience")
    pixels = ", to_pixels" if experiment.partner else ""
    loads = ", ".join(model.code for model in models)
    return f"""{imports}{chr(10) if imports else ""}import vizlib
from vizlib.analysis.perturbation.registry import Aids
from vizlib.analysis.perturbation.response_curves import response{pixels}

image = vizlib.read_image({picture.code})
for model in [{loads}]:
    x = model.prepare(image{given})
{lines}    measured = response(model, x, "{experiment.perturbation}", aids=Aids({", ".join(options)}))
    print(model.card.name, model.label(measured.target), measured.original[measured.target])
    print(measured.strengths, measured.curve, measured.divergence, measured.readout)
    print([layer.name for layer in measured.layers], measured.drift)  # layers x strengths
"""


def _choose(label: str, choices: dict[str, str], key: str) -> str:
    st.segmented_control(
        label, list(choices), key=resend(key), format_func=choices.__getitem__, required=True, label_visibility="collapsed", wrap=True
    )
    return st.session_state[key]


def _chart(figure: go.Figure, key: str, alt: str) -> None:
    from vizlib.figures.charts import CONFIG

    st.plotly_chart(figure, key=f"biases.{key}", config=CONFIG, alt=alt)
