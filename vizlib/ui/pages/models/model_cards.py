"""The cards of all models: those that come with vizlib in full, the others as a table to search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.figures.numbers import listed
from vizlib.ui.core import formatting
from vizlib.ui.core.contents import heading
from vizlib.ui.core.tables import records_to_csv
from vizlib.ui.pages.models.fetch_set import draw_fetch_set
from vizlib.ui.pages.models.report_tables import share_words
from vizlib.ui.widgets.downloads import download_button
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from vizlib import ModelCard
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.models.report_tables import Report


def draw_model_cards(report: Report, url_state: UrlState) -> None:
    """Every model that vizlib knows by name."""
    cards = list(all_cards().values())
    bundled = [card for card in cards if card.source == "bundled"]
    heading("Built in", sub=True)
    for first in range(0, len(bundled), 2):
        for place, card in zip(st.columns(2, gap="medium"), bundled[first : first + 2], strict=False):
            with place, st.container(border=True, height="stretch"):
                _draw_card(card, report)
    heading("To be fetched", sub=True)
    draw_fetch_set()
    _draw_others([card for card in cards if card.source != "bundled"], url_state)


def _draw_card(card: ModelCard, report: Report) -> None:
    training = (card.training or {}).get("training", {})
    recipe = training.get("recipe", {})
    st.markdown(f"**{card.title}**")
    st.caption(formatting.facts(card))
    if card.name in report.names:
        st.markdown(f"Right for **{share_words(report.top(card.name))}** of {report.images:,} photographs that training never saw.")
    elif card.accuracy is not None:
        of = f" of {card.accuracy.images:,} photographs" if card.accuracy.images else ""
        st.markdown(f"Right for **{100 * card.accuracy.top1:.1f}\u00a0%**{of}; not in the report yet.")
    if training:
        optimiser = "AdamW with Muon" if recipe.get("muon") else "AdamW"
        st.markdown(
            f"Trained on {training['images']:,} photographs ({training['data']}) for {recipe['epochs']} epochs: {optimiser}, batches of "
            f"{recipe['batch']}, seed {recipe['seed']}." + (f" {training['note']}" if training.get("note") else "")
        )
        st.code(training["command"], language="bash", wrap_lines=True)
    st.markdown(f"{formatting.linked(card.paper)}. {card.licence}")
    st.caption(f"Methods: {', '.join(METHODS[name].title for name in card.methods)}.")
    reasons: dict[str, list[str]] = {}
    for name, why in card.unavailable.items():
        reasons.setdefault(why, []).append(METHODS[name].title)
    for why, titles in reasons.items():
        st.caption(f"Not {listed(titles)}: {why.rstrip('.')}.")


def _draw_others(cards: list[ModelCard], url_state: UrlState) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = url_state.declare("find", "")
        find = st.text_input(
            "Search",
            key=key,
            value=st.session_state[key],
            placeholder="a name, family, licence or paper",
            icon=":material/search:",
            width=380,
        )
        matching = [card for card in cards if all(word in _text(card) for word in find.lower().split())]
        st.markdown(f"{len(matching)} of {len(cards)} models" if find else f"{len(cards)} models")
    if not matching:
        st.info(
            f"No card says {find!r}. Any other name of timm loads too, in Python and on the command line.", icon=":material/search_off:"
        )
        return
    rows = [_row(card) for card in matching]
    st.dataframe(
        rows,
        hide_index=True,
        height=min(36 * len(rows) + 40, 460),
        column_config={
            "paper": st.column_config.LinkColumn("paper", display_text=r"https?://(?:www\.)?([^/]+)"),
            "parameters, M": st.column_config.NumberColumn(format="%.1f"),
            "top-1 %": st.column_config.NumberColumn(format="%.1f", help="As its authors report, or as measured here where it says so."),
        },
        alt=f"{len(rows)} models with their family, size, licence and paper",
    )
    download_button("vizlib-models.csv", records_to_csv(rows), key="models.csv.cards")
    st.caption("Their weights come from their authors or the Hugging Face hub, once, when you say so: above, or where a page loads one.")


def _row(card: ModelCard) -> dict[str, Any]:
    accuracy = card.accuracy
    return {
        "model": card.name,
        "family": card.family,
        "from": card.source,
        "parameters, M": round(card.parameters / 1e6, 2),
        "input, px": "\u00a0×\u00a0".join(map(str, reversed(card.input_size))),
        "top-1 %": None if accuracy is None else round(100 * accuracy.top1, 2),
        "on": "" if accuracy is None else f"{accuracy.data}, measured here" if accuracy.measured else accuracy.data,
        "licence": card.licence,
        "paper": card.paper[card.paper.find("https://") :] if "https://" in card.paper else "",
    }


def _text(card: ModelCard) -> str:
    return f"{card.name} {card.title} {card.family} {card.source} {card.licence} {card.paper}".lower()
