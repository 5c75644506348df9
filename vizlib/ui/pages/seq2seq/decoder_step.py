"""One step taken apart: what is sent to the browser, what is changed by hand there, and what exactly follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vizlib.seq2seq.options import Options
from vizlib.seq2seq.task_base import END
from vizlib.ui.components.decoder_step import decoder_step
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.message_codec import pack
from vizlib.ui.core.url_state import number, one_of
from vizlib.ui.pages.seq2seq import text as words
from vizlib.ui.pages.seq2seq import translator_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.seq2seq.decode import Step, Translation
    from vizlib.seq2seq.models import Translator
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.seq2seq.choices import TranslationRequest

KEY = "seq2seq.apart"
SCALES = ("as", "on", "off")
TAU = (0.1, 10.0)
_MOST = 1e4  # a score by hand
_PLACES = tuple(map(str, range(1000)))
_AFTER = ("combined", "output", "logits", "probabilities")


@dataclass(frozen=True)
class Edit:
    """What was changed by hand at one step: temperature, scale ("as" trained, "on", "off"), hidden keys, and scores (place, value)."""

    tau: float = 1.0
    scale: str = "as"
    mask: tuple[int, ...] = ()
    scores: tuple[tuple[int, float], ...] = ()

    @classmethod
    def read(cls, view: dict[str, Any], keys: int) -> Edit:
        """The edit that a view names, as far as it fits a text of so many characters."""
        mask = tuple(j for j in map(int, filter(None, view["mask"].split("_"))) if j < keys)
        parts = (part.split(":") for part in view["scores"].split("_") if part)
        scores = tuple((int(j), float(value)) for j, value in parts if int(j) < keys)
        return cls(float(view["tau"]), view["scale"], mask if len(mask) < keys else (), scores)

    @property
    def view(self) -> dict[str, str]:
        """The edit as the browser keeps it."""
        scores = "_".join(f"{j}:{_plain(value)}" for j, value in self.scores)
        return {"tau": _plain(self.tau), "scale": self.scale, "mask": "_".join(map(str, self.mask)), "scores": scores}


AS_IT_WAS = Edit()


@dataclass(frozen=True)
class View:
    """One attention of a step: a model's only one, or one head of a Transformer's last layer; arrays as in ``Step``."""

    query: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    context: np.ndarray

    @property
    def width(self) -> int:
        """The number d of a key's components."""
        return int(self.keys.shape[-1])


@dataclass(frozen=True)
class Outcome:
    """What follows from an edit: the step after it, what is written then, and what would be with the same change at every step.

    ``everywhere`` is None where that is no other question: scores set by hand belong to one step, and in the Transformer a change of
    temperature, scale or mask is always one of every step.
    """

    step: Step
    output: str
    everywhere: str | None


def view_of(step: Step, head: int) -> View:
    """The attention of a step that is looked at."""
    if step.per_head:
        return View(**{name: np.asarray(step.per_head[name][head]) for name in View.__dataclass_fields__})
    return View(**{name: np.asarray(getattr(step, name)) for name in View.__dataclass_fields__})


def divided(edit: Edit, *, scaled: bool) -> bool:
    """Whether scores are divided by sqrt(d) after an edit, in a model that does so or not (``scaled``)."""
    return scaled if edit.scale == "as" else edit.scale == "on"


def weights_of(raw: np.ndarray, edit: Edit, *, scaled: bool, width: int) -> np.ndarray:
    """softmax of the edited scores over the keys that are not hidden, float64 (n,).

    ``raw`` (n,) are scores without 1 / sqrt(width), ``scaled`` says whether the model divides by it.
    """
    scores = np.asarray(raw, np.float64) / (np.sqrt(width) if divided(edit, scaled=scaled) else 1.0)
    for place, value in edit.scores:
        scores[place] = value
    scores /= edit.tau
    scores[list(edit.mask)] = -np.inf
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def raw_scores(view: View, *, divided_by: bool) -> np.ndarray:
    """Scores (n,) before any division by sqrt(d), float64."""
    return np.asarray(view.scores, np.float64) * (np.sqrt(view.width) if divided_by else 1.0)


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

    def follow(translator: Translator) -> Outcome:
        from vizlib.seq2seq.decode import translate

        mask = tuple(place not in edit.mask for place in range(len(translation.source))) if edit.mask else None
        scale = None if edit.scale == "as" else edit.scale == "on"
        general = Options(temperature=edit.tau, scale=scale, mask=mask)
        if request.card.cell == "transformer":
            along = again(translator, translation, general)
            return Outcome(along.steps[step], translate(translator, request.text, options=general).output, None)
        view = view_of(translation.steps[step], 0)
        weights = weights_of(raw_scores(view, divided_by=scaled(request)), edit, scaled=scaled(request), width=view.width)
        replaced = Options(head_weights={step: tuple(weights.tolist())})
        free = request.target is None and request.beams == 1
        along = translate(translator, request.text, options=replaced) if free else again(translator, translation, replaced)
        everywhere = None if general == Options() else translate(translator, request.text, options=general).output
        return Outcome(along.steps[step], along.output if free else words.own(along), everywhere)

    return translator_service.result_or_status("edit", (request.key, step, edit), request.card.name, follow)


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
        "output": translation.output if free or request.target is None else words.own(translation),
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
        st.segmented_control("Head", range(heads), key=head, format_func=lambda head: f"head {head + 1}", required=True)
        edit = Edit(edit.tau, edit.scale, edit.mask)
    outcome = None
    if edit != AS_IT_WAS:
        outcome = outcome_or_status(request, translation, step, edit)
    decoder_step(
        pack_decoder_step(translation, request, identity, step, state[head] if heads else 0, edit, outcome), key=KEY, on_change=take
    )
    if outcome is not None and outcome.everywhere is not None:
        st.markdown(
            f"The same temperature, scale and mask at **every** step: it writes `{outcome.everywhere or '(nothing)'}`"
            + (", as before." if outcome.everywhere == translation.output else f" instead of `{translation.output or '(nothing)'}`.")
        )
    with st.expander("All formulas of this step", icon=":material/function:"):
        for name, formula in translation.steps[step].formula.items():
            st.latex(rf"\textsf{{{name}:}}\quad {formula}")


def again(translator: Translator, translation: Translation, options: Options) -> Translation:
    """An answer written again under other options, its own characters given at every step; as many steps as it had."""
    from vizlib.seq2seq.decode import force

    along = force(translator, "".join(translation.source), given(translation), options)
    # An answer that was cut off at the longest there may be has no end mark, and teacher forcing asks for one.
    return replace(along, steps=along.steps[: len(translation.steps)], tokens=along.tokens[: len(translation.tokens)])


def given(translation: Translation) -> str:
    """The characters of an answer as teacher forcing takes them."""
    return "".join(translation.tokens).removesuffix(END)


def _parts(step: Step, request: TranslationRequest) -> list[tuple[str, int]]:
    if request.card.cell == "transformer":
        return [("state after reading, x′", len(step.combined))]
    context = len(step.context) if step.context is not None else 0
    return [("context c", context), ("query q", len(step.combined) - context)]


def _tau(text: str) -> str:
    return _plain(number(*TAU)(text))


def _plain(value: float) -> str:
    return repr(value).removesuffix(".0")  # as JavaScript writes numbers


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
