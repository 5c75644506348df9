"""The models that a page looks at, as its visitor chooses them: bundled, published, and opened from a file of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.figures.model_marks import short_name
from vizlib.ui.core import formatting
from vizlib.ui.core.model_choice import ModelChoice, model_choice
from vizlib.ui.core.url_state import one_of, resend, some_of
from vizlib.ui.core.user_model_store import user_model_store
from vizlib.ui.widgets import user_model_form
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from vizlib import ModelCard
    from vizlib.ui.core.url_state import UrlState

    Fits = Callable[[ModelCard], str]  # why a page cannot show a model, in a few words; empty where it can

MOST_MODELS = 4
FIRST_MODELS = ("vit_tiny50", "resnet_tiny50")
_HELP = "The first ones are built in, small, and work offline. The weights of the others are fetched once, when you say so."


def of_families(*families: str) -> Fits:
    """A page's models are those of some families."""
    return lambda card: "" if card.family in families else "another architecture"


def with_attention(card: ModelCard) -> str:
    """A page's models are those whose attention can be followed."""
    return "no attention" if "lineage" in card.refusals else ""


def pick_model(
    url_state: UrlState,
    fits: Fits | None = None,
    *,
    bundled: Sequence[str] = (),
    label: str = "Model",
    weights: bool = False,
    show_unfit: bool = False,
) -> ModelChoice:
    """Let the visitor choose one model that ``fits``; ``bundled`` are the page's own, in their order, whether they are trained yet or not.

    ``weights`` offers random ones beside the trained; ``show_unfit`` lets models that do not fit be chosen too, to read why. A model
    of the visitor's own is not part of a link.
    """
    fresh, offer = user_model_form.finish_opening(), _offer(fits, bundled, show_unfit=show_unfit)
    state, linked = st.session_state, set(offer.names) - set(offer.own)
    key = url_state.declare("model", offer.names[0], one_of(offer.names), lambda name: name if name in linked else None)
    weights_key = url_state.declare("weights", "trained", one_of(("trained", "random"))) if weights else ""
    if fresh in offer.names or state[key] not in offer.names:
        state[key] = fresh if fresh in offer.names else offer.names[0]
    left, right = st.columns([3, 2], gap="medium", vertical_alignment="bottom") if weights else (st.container(), None)
    name = left.selectbox(label, offer.names, key=resend(key), format_func=offer.word, help=_HELP)
    random = weights and state[weights_key] == "random" and name not in offer.own
    choice = model_choice(name, random=random)
    if right is not None:
        with right:
            _pick_weights(choice, weights_key)
        st.caption(choice.facts)
    _draw_own(offer)
    return choice


def pick_models(url_state: UrlState, first: Sequence[str] = FIRST_MODELS, most: int = MOST_MODELS) -> list[ModelChoice]:
    """Let the visitor choose up to ``most`` models; their own are not part of a link.

    It opens on those of ``first`` whose weights are at hand.
    """
    fresh, offer, state = user_model_form.finish_opening(), _offer(None, (), show_unfit=False), st.session_state
    cards = all_cards()

    def write(names: list[str]) -> str | None:
        # Where all are the visitor's own a link opens on the usual ones.
        linked = [name for name in names if name in cards]
        return ",".join(linked) if linked or not names else None

    opening = [name for name in first if name in offer.at_hand]
    key = url_state.declare("models", opening, some_of(list(cards), most), write)
    chosen = [name for name in state[key] if name in offer.names]
    state[key] = [*chosen[: most - 1], fresh] if fresh else chosen
    picked = st.multiselect(
        "Models", offer.names, key=resend(key), format_func=offer.word, max_selections=most, select_all=False, placeholder="Choose a model",
        help=_HELP,
    )  # fmt: skip
    _draw_own(offer)
    return [model_choice(name) for name in picked]


@dataclass(frozen=True)
class _Offer:
    """The names that a page offers, in order; which are the visitor's ``own`` or ``at_hand``, and what does not fit, with the reason."""

    names: list[str]
    own: Mapping[str, ModelCard]
    at_hand: Container[str]
    unfit: dict[str, str]

    def word(self, name: str) -> str:
        """How the list shows a model."""
        reason = f" ({self.unfit[name]})" if name in self.unfit else ""
        if name in self.own:
            return f"{self.own[name].title} · yours{reason}"
        card = all_cards().get(name)
        return (short_name(name) if card is None or name in self.at_hand else f"{name} · {formatting.megabytes(card)}") + reason


def _offer(fits: Fits | None, bundled: Sequence[str], *, show_unfit: bool) -> _Offer:
    cards, own = all_cards(), dict(user_model_store().cards)
    reasons = {name: fits(card) for name, card in (own | cards).items()} if fits is not None else {}
    unfit = {name: reason for name, reason in reasons.items() if reason}
    here = {name: None for name, card in cards.items() if card.at_hand}  # once a run: each looks at several folders
    built_in = list(bundled) or list(here)
    published = [name for name in cards if name not in here]
    names = [name for name in (*built_in, *own, *published) if name not in unfit]
    shown = [name for name in (*built_in, *own, *published) if name in unfit] if show_unfit else []
    return _Offer([*names, *shown], own, here, unfit)


def _pick_weights(choice: ModelChoice, key: str) -> None:
    """Trained or random; only one of them where a model is untrained, or the visitor's own."""
    fixed = "random" if choice.card is None else "trained" if choice.own else None
    st.segmented_control(
        "Weights", ["trained", "random"], key=f"{key}.fixed.{fixed}" if fixed else resend(key), required=True, default=fixed,
        disabled=fixed is not None, help="Random weights show what the architecture alone does, without a download.", wrap=True,
    )  # fmt: skip


def _draw_own(offer: _Offer) -> None:
    """The visitor's own models and the way to open another; those that the page cannot show are named with the reason."""
    user_model_form.draw_user_models()
    left_out = [f"{formatting.plain(card.title)} ({offer.unfit[name]})" for name, card in offer.own.items() if name not in offer.names]
    if left_out:
        st.caption(f"Not offered here: {', '.join(left_out)}.")
