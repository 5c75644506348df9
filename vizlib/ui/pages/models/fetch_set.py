"""Fetching a set of models at once: what it takes and under which licences first, then a button, progress, and a way to stop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.engine.work_order import Lane
from vizlib.ui.core import computations, formatting
from vizlib.ui.core.callbacks import here
from vizlib.ui.pages.models.fetch_work import fetch_set
from vizlib.zoo.cards import all_cards
from vizlib.zoo.weight_sets import SETS

if TYPE_CHECKING:
    from vizlib import ModelCard

_WISHED = "models.fetch.wished"
SLOT = "models.fetch"


def draw_fetch_set(name: str = "imagenet-small") -> None:
    """The set's models with size, licence and where they come from, and the button that fetches those that are not here."""
    weight_set = SETS[name]
    cards = [all_cards()[model] for model in weight_set.models]
    missing = [card for card in cards if not card.at_hand]
    with st.container(border=True):
        st.markdown(f"**{weight_set.title}**: {len(cards)} published models that know ImageNet's 1,000 classes, for every page.")
        st.markdown(_table([_row(card) for card in cards]))
        if not missing:
            st.caption("All of them are here.")
            return
        size = formatting.megabytes_of(sum(card.parameters for card in missing))
        wished = st.session_state.get(_WISHED) == name
        if not wished:
            st.button(
                f"Fetch {'all' if len(missing) == len(cards) else len(missing)}, about {size}",
                key="models.fetch.start",
                icon=":material/download:",
                on_click=here(st.session_state.update),
                args=({_WISHED: name},),
                help="Each file's licence is in the table. What is fetched stays in the caches of vizlib and of the hub.",
            )
            return
        fetched = computations.compute_or_status(SLOT, name, [], partial(fetch_set, weight_set), keep=False, lane=Lane.FETCH, patience=0.0)
        if fetched is not None:
            st.session_state.pop(_WISHED, None)
            st.rerun()


def _row(card: ModelCard) -> dict[str, str]:
    return {
        "Model": card.name,
        "About": formatting.megabytes(card),
        "Licence": card.licence,
        "From": next((place.host for place in card.places if place.remote), ""),
        "Here": "yes" if card.at_hand else "not yet",
    }


def _table(rows: list[dict[str, str]]) -> str:
    """The rows as a table of Markdown."""
    heading, *lines = [f"| {' | '.join(map(formatting.plain, cells))} |" for cells in (list(rows[0]), *(row.values() for row in rows))]
    return "\n".join([heading, "|---" * len(rows[0]) + "|", *lines])
