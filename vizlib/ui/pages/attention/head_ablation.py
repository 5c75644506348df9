"""Live ablation: heads and patches switched off for this visitor alone, and what the answer and the map lose."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.figures.numbers import percent
from vizlib.passes.ablation import HeadAblation
from vizlib.ui.components.photo_map import photo_map
from vizlib.ui.core import computations, formatting
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.url_state import one_of, resend
from vizlib.ui.pages.attention.canvas import layer_name, token_name
from vizlib.ui.pages.attention.head_work import compute_ablation

if TYPE_CHECKING:
    from vizlib.tracing.token_grid import Grid
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.attention.canvas import SelectedToken
    from vizlib.ui.pages.attention.head_work import AblationResult
    from vizlib.ui.pages.attention.pass_work import AttentionLayer, AttentionPass, PassRequest

_WAYS = {"zero": "to zero", "mean": "to its mean", "uniform": "to an even look"}
_MOST = 8
Pairs = list[tuple[int, int]]


def head_ablation_keys(model: ModelChoice, url_state: UrlState) -> tuple[str, str, str]:
    """Declare which heads are off, in which way, and which patches are hidden."""
    return (
        url_state.declare(f"{model.name}.off", [], _pairs, _joined, linked=not model.own),
        url_state.declare("way", "zero", one_of(tuple(_WAYS))),
        url_state.declare(f"{model.name}.hidden", [], _pairs, _joined, linked=not model.own),
    )


def draw_head_ablation(
    attention_pass: AttentionPass, selected: SelectedToken | None, model: ModelChoice, request: PassRequest, url_state: UrlState
) -> None:
    """What to switch off, and the answer before and after."""
    ablation = _choose(attention_pass, selected, model, url_state)
    if not ablation:
        st.info("Nothing is switched off. Choose a head or a whole layer, or hide a patch that you hold: only your own view changes.",
                icon=":material/content_cut:")  # fmt: skip
        return

    key = (attention_pass.identity, tuple(sorted(ablation.heads.items())), tuple(sorted(ablation.cut.items())), ablation.dropped)
    outcome = computations.compute_or_status("attention.ablation", key, [model], partial(compute_ablation, request, ablation), keep=False)
    if outcome is not None:
        _draw_outcome(outcome)


def _choose(attention_pass: AttentionPass, selected: SelectedToken | None, model: ModelChoice, url_state: UrlState) -> HeadAblation:
    state = st.session_state
    sites = [site for site in attention_pass.layers if site.name != "readout"]
    every: Pairs = [(layer, head) for layer, site in enumerate(sites) for head in range(site.heads)]
    off, way, hidden = head_ablation_keys(model, url_state)
    state[off] = [pair for pair in state[off] if pair in every]
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.multiselect(
            "Heads to switch off",
            every,
            key=resend(off),
            format_func=lambda pair: f"{layer_name(attention_pass, pair[0])}, head {pair[1] + 1}",
            placeholder="None",
            help="Type a layer to find its heads. Everybody else keeps the model as it is.",
        )
        with st.container(horizontal=True):
            _layer_buttons(attention_pass, selected, every, off)
        st.segmented_control(
            "Switch them",
            list(_WAYS),
            key=resend(way),
            format_func=_WAYS.__getitem__,
            required=True,
            help="**To zero** removes what the head adds. **To its mean** gives every token the head's average. **To an even look** keeps "
            "the head and takes away its choice.",
            wrap=True,
        )
    with right:
        chosen = _hide(attention_pass, selected, sites, hidden)
    cut: dict[int, tuple[int, ...]] = {}
    for layer, token in chosen:
        if layer >= 0:
            cut[layer] = (*cut.get(layer, ()), token)
    heads = dict.fromkeys(map(tuple, state[off]), state[way])
    return HeadAblation(heads, cut, tuple(token for layer, token in chosen if layer < 0))


def _layer_buttons(attention_pass: AttentionPass, selected: SelectedToken | None, every: Pairs, off: str) -> None:
    state = st.session_state
    if selected is not None:
        in_layer = [pair for pair in every if pair[0] == selected.layer]
        head = [pair for pair in in_layer if selected.head is None or pair[1] == selected.head]

        def add(pairs: Pairs) -> None:
            state[off] = [*state[off], *(pair for pair in pairs if pair not in state[off])]

        if selected.head is not None and head:
            st.button("The held head", key="attention.off.head", icon=":material/add:", on_click=here(add), args=(head,))
        if in_layer:
            st.button(
                f"All of {layer_name(attention_pass, selected.layer)}",
                key="attention.off.layer",
                icon=":material/add:",
                on_click=here(add),
                args=(in_layer,),
            )
    st.button("Everything back on", key="attention.on", icon=":material/restart_alt:", on_click=here(state.update), args=({off: []},),
              disabled=not state[off])  # fmt: skip


def _hide(attention_pass: AttentionPass, selected: SelectedToken | None, sites: list[AttentionLayer], hidden: str) -> Pairs:
    """Patches that nobody may look at: pairs (layer, key), layer -1 for every layer and a token of the last grid."""
    state = st.session_state
    top = next(index for index in reversed(range(len(sites))) if sites[index].query_grid.cells)

    def fits(pair: tuple[int, int]) -> bool:
        layer, token = pair
        grid = sites[top].query_grid if layer < 0 else sites[layer].key_grid if layer < len(sites) else None
        return grid is not None and 0 <= token < grid.tokens

    state[hidden] = [pair for pair in state[hidden] if fits(pair)]
    st.markdown("**Patches that nobody may look at**")
    names = [
        f"{token_name(attention_pass, top, token)} (all layers)"
        if layer < 0
        else f"{token_name(attention_pass, layer, token, key=True)} ({layer_name(attention_pass, layer)})"
        for layer, token in state[hidden]
    ]
    if names:
        st.markdown("\n".join(f"- {name}" for name in names))
    if selected is None or selected.layer >= len(sites):
        st.caption("Hold a patch in the picture first: then it can be hidden here.")
    else:
        key, whole = _as_key(sites, selected), _as_top(sites, selected, top)

        def add(pair: tuple[int, int]) -> None:
            state[hidden] = [*state[hidden], *([pair] if pair not in state[hidden] else [])]

        with st.container(horizontal=True):
            st.button("Hide the held patch", key="attention.hide", icon=":material/visibility_off:", on_click=here(add),
                      args=((-1, whole),),
                      help="From every query of every layer.")  # fmt: skip
            st.button(
                "In its layer only",
                key="attention.cut",
                icon=":material/visibility_off:",
                on_click=here(add),
                args=((selected.layer, key),),
            )
    st.button("Show all again", key="attention.show", icon=":material/restart_alt:", on_click=here(state.update), args=({hidden: []},),
              disabled=not state[hidden])  # fmt: skip
    return [(int(layer), int(token)) for layer, token in state[hidden]]


def _as_key(sites: list[AttentionLayer], selected: SelectedToken) -> int:
    """The held token as a key of its own layer."""
    site = sites[selected.layer]
    return selected.query if selected.reverse else _moved(selected.query, site.query_grid, site.key_grid)


def _as_top(sites: list[AttentionLayer], selected: SelectedToken, top: int) -> int:
    site = sites[selected.layer]
    return _moved(selected.query, site.key_grid if selected.reverse else site.query_grid, sites[top].query_grid)


def _moved(token: int, source: Grid, target: Grid) -> int:
    """The token of another grid that lies where this one does."""
    if token < source.prefix:
        return min(token, max(0, target.prefix - 1))
    row, column = divmod(token - source.prefix, source.width)
    y = min(target.height - 1, int((row + 0.5) * target.height / source.height))
    x = min(target.width - 1, int((column + 0.5) * target.width / source.width))
    return target.prefix + y * target.width + x


def _draw_outcome(outcome: AblationResult) -> None:
    if outcome.before:
        first, now = outcome.before[0], outcome.after[0]
        same = "still answers" if first.index == now.index else "changes its answer: from"
        to = "" if first.index == now.index else f" to **{formatting.plain(now.label)}** ({percent(now.probability)})"
        st.markdown(f"#### The model {same} **{formatting.plain(first.label)}**{to}")
    _draw_table(outcome)
    for index, place in enumerate(st.columns(2, gap="large")):
        with place:
            st.markdown(f"**{('Rollout before', 'Rollout after')[index]}**")
            photo_map(outcome.maps[index], key=f"attention.ablation.{index}")
            if any(outcome.sinks):
                st.caption(f"{percent(outcome.sinks[index])} ends in learned tokens or padding.")
    st.markdown(f"**{percent(outcome.moved)}** of the map moved elsewhere.")


def _draw_table(outcome: AblationResult) -> None:
    if not outcome.before:
        st.caption("This model has no classes; its map shows the change.")
        return
    was = {row.index: row for row in outcome.before}
    ahead = {row.index: None for row in [*outcome.before[:4], *outcome.after[:4]]}
    rows = sorted(ahead, key=lambda index: -was[index].probability)[:_MOST]
    now = {row.index: row for row in outcome.after}
    lines = "\n".join(
        f"| {formatting.plain(was[index].label.split(',')[0])} | {percent(was[index].probability)} | {percent(now[index].probability)} "
        + f"| {now[index].logit - was[index].logit:+.2f} | {was[index].logit:.2f} | {now[index].logit:.2f} |".replace("-", "\u2212")
        for index in rows
    )
    # The change first: a telephone has no room for the others.
    st.markdown(f"| Class | before | after | change of logit | logit before | logit after |\n|:--|--:|--:|--:|--:|--:|\n{lines}")


def _pairs(text: str) -> Pairs:
    pairs = []
    for part in text.split("_"):
        layer, token = part.split(".")
        pairs.append((int(layer) - 1, int(token) - 1))
    if any(layer < -1 or token < 0 for layer, token in pairs):
        raise ValueError(text)
    return pairs


def _joined(pairs: Pairs) -> str:
    return "_".join(f"{layer + 1}.{token + 1}" for layer, token in pairs)
