"""The method that a model is explained by, its options and its class: read from the page's state, and drawn as widgets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.catalog.methods import METHODS, MethodCard, Option
from vizlib.catalog.methods import fitting as fitting_methods
from vizlib.engine.limits import limits
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.url_state import number, one_of, resend
from vizlib.ui.widgets.explanation import ExplanationRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib import ModelCard
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState


OPENING_METHODS = ("relevance", "grad_cam")  # class-specific, and there within a second
OWN = -1  # the class that the model itself answers


@dataclass(frozen=True)
class MethodChoice:
    """A method for one model with its options and class, the keys of their widgets, and the names of the methods that fit."""

    model: ModelChoice
    method: MethodCard
    target: int | None
    options: dict[str, Any]
    method_key: str
    target_key: str
    option_keys: dict[str, str]
    fitting: tuple[str, ...]

    @property
    def card(self) -> ModelCard:
        """What is known of the model; one that was never trained has none, and no methods are offered for it."""
        assert self.model.card is not None  # noqa: S101
        return self.model.card

    @property
    def changed(self) -> dict[str, Any]:
        """The options that differ from their defaults: what a snippet has to name."""
        return {option.name: self.options[option.name] for option in self.method.options if self.options[option.name] != option.default}

    def request(self, picture: Picture, fit: str | None, like: Picture | None = None) -> ExplanationRequest:
        """What the model is asked: a class, or how the picture is ``like`` another; the same map whatever is asked is one request."""
        target = self.target if self.method.class_specific and like is None else None
        other = like.identity if self.method.class_specific and like is not None else None
        return ExplanationRequest(picture.identity, self.method.name, target, fit, tuple(self.options.items()), other)


def read_method_choice(model: ModelChoice, url_state: UrlState, opening: str = "", *, classless: bool = False) -> MethodChoice:
    """The method in the page's state; a model starts with the first that fits it of ``opening``, ``OPENING_METHODS``, all.

    What is asked may be ``classless``, as a likeness is: methods then fit a model without a head too.
    """
    name, state = model.name, st.session_state
    refusals = model.card.refusals if model.card is not None else {}
    needed = {need: why for need, why in refusals.items() if need != "head"} if classless else refusals
    fitting = fitting_methods(needed)[0] if model.card is not None else ()
    best = next((method for method in (opening, *OPENING_METHODS, *fitting) if method in fitting), next(iter(METHODS)))
    method_key = url_state.declare(f"{name}.method", best, one_of(tuple(METHODS)), linked=not model.own)
    target_key = url_state.declare(f"{name}.target", OWN, int, linked=not model.own)
    method = METHODS[state[method_key]]
    target = None if state[target_key] == OWN else state[target_key]
    options, keys = _declare_options(name, method, url_state, linked=not model.own)
    return MethodChoice(model, method, target, options, method_key, target_key, keys, fitting)


def read_options(model: ModelChoice, method: MethodCard, url_state: UrlState) -> MethodChoice:
    """One method on a page that shows several: the model's own answer, and the method's options."""
    options, keys = _declare_options(method.name, method, url_state, linked=not model.own)
    return MethodChoice(model, method, None, options, "", "", keys, model.card.methods if model.card is not None else ())


def _declare_options(prefix: str, method: MethodCard, url_state: UrlState, *, linked: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """The options in the page's state. Of the method before, those stay that mean the same: a layer is a name here and a number there."""
    before = METHODS.get(st.session_state.get(f"{prefix}.options_of", method.name), method)
    st.session_state[f"{prefix}.options_of"] = method.name
    kept = {option.name for option in method.options if option in before.options}
    for option in method.options:
        if option.name not in kept:
            url_state.reset(f"{prefix}.{option.name}", option.default)
    keys = {
        option.name: url_state.declare(f"{prefix}.{option.name}", option.default, _reader(option), _written, linked=linked)
        for option in method.options
    }
    return {name: st.session_state[key] for name, key in keys.items()}, keys


def _reader(option: Option) -> Callable[[str], Any]:
    if option.text:
        return str.strip
    if option.choices:
        return one_of(option.choices)
    high = _high(option)
    within = number(-math.inf if option.low is None else option.low, math.inf if high is None else high)
    kind = type(option.default)

    def read(text: str) -> Any:
        if text in option.words:
            return text
        value = within(text)
        if kind(value) != value:
            raise ValueError(text)
        return kind(value)

    return read


def _high(option: Option) -> float | None:
    """The highest value of an option on this server, whose operator bounds samples."""
    if option.name != "samples":
        return option.high
    return min(limits().samples, math.inf if option.high is None else option.high)


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


_NAME_WIDTH = 228  # pixels that the longest title of a method takes, so that the button beside it goes below before the title is cut


def draw_method(choice: MethodChoice, *, narrow: bool = False) -> None:
    """The widgets of the method and its options; methods that do not fit the model can be chosen, to read why."""
    fitting = set(choice.fitting)
    names = sorted(METHODS, key=lambda name: name not in fitting)
    beside = bool(choice.method.options) and choice.method.name in fitting
    with st.container(horizontal=not narrow, vertical_alignment="bottom"):
        st.selectbox(
            "Method",
            names,
            key=resend(choice.method_key),
            label_visibility="collapsed",
            format_func=lambda name: METHODS[name].title + ("" if name in fitting else " (does not fit)"),
            width=_NAME_WIDTH if beside and not narrow else "stretch",
        )
        if beside:
            draw_options(choice)


def draw_options(choice: MethodChoice) -> None:
    """The options of the chosen method, behind a button."""
    with st.popover("Options", icon=":material/tune:"):
        for option in choice.method.options:
            if option.needs not in choice.card.refusals:
                _draw_option(option, choice.option_keys[option.name])


def _draw_option(option: Option, key: str) -> None:
    label = option.name.replace("_", " ").capitalize()
    resend(key)  # a popover mounts its widgets when it opens; they then show what the last run set, and only that
    if option.text:
        st.text_input(label, key=key, help=option.help)
    elif option.words:
        _draw_number_or_word(option, key, label)
    elif option.choices:
        st.segmented_control(label, option.choices, key=key, help=option.help, required=True, wrap=True)
    elif isinstance(option.default, int):
        low, high = (None if end is None else int(end) for end in (option.low, _high(option)))
        server = f" This server gives one map {high:,} at most." if high is not None and high != option.high else ""
        st.number_input(label, low, high, key=key, step=1, help=f"{option.help}{server}")
    else:
        st.slider(label, float(option.low or 0), float(1 if option.high is None else option.high), key=key, step=0.01, help=option.help)


def _draw_number_or_word(option: Option, key: str, label: str) -> None:
    """A slider, and a switch for each word that may stand in the place of its number."""
    chosen, slider = st.session_state[key], f"{key}.number"
    st.session_state.setdefault(slider, option.default)
    if chosen not in option.words:
        st.session_state[slider] = chosen
    word_key = f"{key}.word"
    st.session_state[word_key] = chosen if chosen in option.words else "number"

    def take_choice() -> None:
        word = st.session_state[word_key]
        st.session_state[key] = st.session_state[slider] if word == "number" else word

    st.segmented_control(
        label, ("number", *option.words), key=resend(word_key), help=option.help, required=True, on_change=here(take_choice), wrap=True
    )
    if chosen not in option.words:
        low, high = float(option.low or 0), float(1 if option.high is None else option.high)
        st.slider(
            label, low, high, key=slider, value=st.session_state[slider], step=0.01, label_visibility="collapsed",
            on_change=here(take_choice),
        )  # fmt: skip
