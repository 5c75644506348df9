"""One step taken apart: what is sent to the browser, what is changed by hand there, and what exactly follows from it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vizlib.ui.components.decoder_step import decoder_step
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.message_codec import pack
from vizlib.ui.core.url_state import number, one_of, resend
from vizlib.ui.pages.seq2seq import text as words
from vizlib.ui.pages.seq2seq import translator_service
from vizlib.ui.pages.seq2seq.decoder_edit import Edit, divided, plain_number, raw_scores, view_of
from vizlib.ui.pages.seq2seq.translation_work import compute_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.seq2seq.translation import Step, Translation
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.seq2seq.choices import TranslationRequest
    from vizlib.ui.pages.seq2seq.translation_work import Outcome

KEY = "seq2seq.apart"
SCALES = ("as", "on", "off")
TAU = (0.1, 10.0)
_MOST = 1e4  # a score by hand
_PLACES = tuple(map(str, range(1000)))
_AFTER = ("combined", "output", "logits", "probabilities")


def scaled(request: TranslationRequest) -> bool:
    """Whether the model divides its scores by sqrt(d)."""
    return request.card.score == "scaled_dot"


def edit_view(url_state: UrlState) -> tuple[dict[str, Any], Callable[[], None]]:
    """Declare what is changed by hand: what the address says of it, and what to call when the browser changed it."""
    return component_state(url_state, KEY, {"scale": SCALES}, {"tau": ("1", _tau), "mask": ("", _mask), "scores": ("", _scores)})


def head_key(url_state: UrlState) -> str:
    """Declare which head is taken apart, from 0."""
    return url_state.declare("head", 0, lambda text: int(number(0, 99)(text)))


def outcome_or_status(request: TranslationRequest, translation: Translation, step: int, edit: Edit) -> Outcome | None:
    """What the decoder writes on after an edit, once it is there; until then, why not."""

    work = partial(
        compute_outcome, text=request.text, translation=translation, step=step, edit=edit, beams=request.beams, target=request.target
    )
    return translator_service.result_or_status("edit", (request.key, step, edit), request.card.name, work)


def pack_decoder_step(
    translation: Translation, request: TranslationRequest, identity: str, step: int, head: int, edit: Edit, outcome: Outcome | None
) -> bytes:
    """The packed step; with an ``outcome``, what follows from the edit as the arrays ``after.*``.

    In a Transformer a change of temperature reaches the query too: then the attention that is drawn is the one after it.
    """
    written, free = translation.steps[step], request.target is None and request.beams == 1
    before = view_of(written, head)
    moved = outcome is not None and request.card.cell == "transformer"
    now = view_of(outcome.step, head) if outcome is not None and moved else before
    arrays: dict[str, np.ndarray] = {name: getattr(now, name) for name in ("query", "keys", "values")}
    arrays |= {name: np.asarray(getattr(written, name)) for name in _AFTER} | {"weights": before.weights}
    arrays["raw"] = raw_scores(now, divided_by=divided(edit, scaled=scaled(request)) if moved else scaled(request))
    arrays["raw.before"] = raw_scores(before, divided_by=scaled(request))
    if outcome is not None:
        arrays |= {f"after.{name}": np.asarray(getattr(outcome.step, name)) for name in _AFTER}
    header = {
        "identity": f"{identity}.{step}.{head}", "source": list(translation.source), "width": now.width, "scaled": scaled(request),
        "products": request.card.score in ("dot", "scaled_dot"), "draggable": request.card.cell != "transformer",
        "alphabet": list(request.vocabulary), "view": edit.view,
        "output": translation.output if free else words.own(translation), "along": not free,
        "exact": edit.view if outcome is not None else None, "exact_output": outcome.output if outcome else "",
        "parts": _parts(written, request), **words.step_words(request.card),
    }  # fmt: skip
    return pack(header, arrays)


def draw_decoder_step(
    translation: Translation,
    request: TranslationRequest,
    identity: str,
    step: int,
    view: dict[str, Any],
    take: Callable[[], None],
    head: str,
) -> None:
    """The step with its controls; what was changed by hand is followed up exactly."""
    st.header(f"Step {step + 1}, taken apart", anchor=False)
    st.markdown(words.APART if request.card.cell != "transformer" else words.APART_TRANSFORMER)
    edit = Edit.read(view, len(translation.source))
    heads = len(translation.steps[step].per_head.get("query", ()))
    state = st.session_state
    if heads:
        state[head] = min(state[head], heads - 1)
        st.segmented_control("Head", range(heads), key=resend(head), format_func=lambda head: f"head {head + 1}", required=True, wrap=True)
        edit = Edit(edit.tau, edit.scale, edit.mask)
    outcome = None
    if edit != Edit():
        outcome = outcome_or_status(request, translation, step, edit)
    decoder_step(
        pack_decoder_step(translation, request, identity, step, state[head] if heads else 0, edit, outcome), key=KEY, on_change=here(take)
    )
    if outcome is not None and outcome.everywhere is not None:
        free = request.target is None and request.beams == 1
        st.markdown(everywhere_words(outcome.everywhere, translation.output if free else words.own(translation), free=free))
    with st.expander("All formulas of this step", icon=":material/function:"):
        for name, formula in translation.steps[step].formula.items():
            st.latex(rf"\textsf{{{name}:}}\quad {formula}")


def everywhere_words(output: str, before: str, *, free: bool) -> str:
    """What is written with one change at every step, beside what was before: by the model itself, or along an answer that is given."""
    writes = "it writes" if free else "along the same answer its likeliest characters are"
    beside = ", as before" if output == before else f" instead of {words.answered(before)}"
    return f"The same temperature, scale and mask at **every** step: {writes} {words.answered(output)}{beside}."


def _parts(step: Step, request: TranslationRequest) -> list[tuple[str, int]]:
    if request.card.cell == "transformer":
        return [("state after reading, x′", len(step.combined))]
    context = len(step.context) if step.context is not None else 0
    return [("context c", context), ("query q", len(step.combined) - context)]


def _tau(text: str) -> str:
    return plain_number(number(*TAU)(text))


def _mask(text: str) -> str:
    for part in filter(None, text.split("_")):
        one_of(_PLACES)(part)
    return text


def _scores(text: str) -> str:
    for part in filter(None, text.split("_")):
        place, _, value = part.partition(":")
        one_of(_PLACES)(place)
        number(-_MOST, _MOST)(value)
    return text
