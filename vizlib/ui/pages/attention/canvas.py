"""What the attention page shows of a pass: the canvas with the query it holds, kept in the address."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.figures.colormaps import COLORMAP_NAMES
from vizlib.ui.components.attention_canvas import attention_canvas
from vizlib.ui.components.attention_patch import attention_patch
from vizlib.ui.core import computations
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.url_state import number, one_of
from vizlib.ui.pages.attention.pass_work import compute_finer_layer

if TYPE_CHECKING:
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.attention.pass_work import AttentionPass, PassRequest

MEAN = -1
NONE = -1


@dataclass(frozen=True)
class SelectedToken:
    """The query that was clicked last: an attention, a head (None: the mean), a token, and whether it is looked at or looks."""

    layer: int
    head: int | None
    query: int
    reverse: bool


@dataclass(frozen=True)
class Keys:
    """The keys of the canvas's parts of the page's state."""

    layer: str
    head: str
    query: str
    reverse: str
    opacity: str
    colors: str
    scale: str
    maps: str


def canvas_keys(url_state: UrlState) -> Keys:
    """Declare what the canvas writes into the address; it changes most of it without telling the server.

    The address counts layers and heads from 1, as all words do; its head 0 is the mean.
    """
    return Keys(
        layer=url_state.declare("layer", NONE, _from_one, _to_one),
        head=url_state.declare("head", MEAN, _from_one, _to_one),
        query=url_state.declare("query", NONE, _whole),
        reverse=url_state.declare("reverse", False, lambda text: text == "1", lambda value: "1" if value else "0"),  # noqa: FBT003
        opacity=url_state.declare("opacity", 0.6, number(0, 1), lambda value: f"{value:g}"),
        colors=url_state.declare("colors", COLORMAP_NAMES[0], one_of(COLORMAP_NAMES)),
        scale=url_state.declare("scale", "own", one_of(("own", "one"))),
        maps=url_state.declare("maps", "own", one_of(("own", "one", "max"))),
    )


def _from_one(text: str) -> int:
    return _whole(str(int(text) - 1))


def _to_one(value: int) -> str:
    return str(value + 1)


def _whole(text: str) -> int:
    value = int(text)
    if value < -1:
        raise ValueError(text)
    return value


def draw_canvas(attention_pass: AttentionPass, keys: Keys, model: ModelChoice, request: PassRequest) -> SelectedToken | None:
    """Draw the canvas; the query that it holds, None before the first click."""
    state = st.session_state

    def take_pin() -> None:
        pin = state["attention.canvas"].pin or {}
        for name, value in pin.items():
            if hasattr(keys, name):
                state[getattr(keys, name)] = value

    def take_want() -> None:
        wanted = state["attention.canvas"].want
        if wanted:
            state["attention.want"] = (attention_pass.identity, int(wanted["layer"]))

    attention_canvas(attention_pass.payload, key="attention.canvas", on_pin=here(take_pin), on_want=here(take_want))
    _send_finer(attention_pass, model, request)
    return _selected_token(attention_pass, keys)


def _send_finer(attention_pass: AttentionPass, model: ModelChoice, request: PassRequest) -> None:
    identity, layer = st.session_state.get("attention.want", ("", 0))
    if identity != attention_pass.identity or not 0 <= layer < len(attention_pass.layers):
        return
    work = partial(compute_finer_layer, request, layer)
    finer = computations.compute_or_status("attention.finer", (identity, layer), [model], work, keep=False)
    if finer is not None:
        attention_patch(finer.attention, view=identity, layer=layer, key="attention.tile")


def _selected_token(attention_pass: AttentionPass, keys: Keys) -> SelectedToken | None:
    """What the state says, where this model has it: another model may have fewer layers, heads or tokens."""
    state, sites = st.session_state, attention_pass.layers
    layer, head, query, reverse = (state[key] for key in (keys.layer, keys.head, keys.query, keys.reverse))
    layer = opening_layer(attention_pass) if layer == NONE else layer
    if query == NONE or not 0 <= layer < len(sites):
        return None
    site = sites[layer]
    grid = site.key_grid if reverse else site.query_grid
    if not 0 <= query < grid.tokens:
        return None
    return SelectedToken(layer, head if 0 <= head < site.heads else None, query, reverse)


def opening_layer(attention_pass: AttentionPass) -> int:
    """The layer that the canvas opens on: the middle of the last stage."""
    sites = attention_pass.layers
    last = [index for index, site in enumerate(sites) if site.stage == sites[-1].stage and site.query_grid.cells]
    return last[(len(last) - 1) // 2] if last else 0


def snippet(attention_pass: AttentionPass, model: ModelChoice, picture: Picture, fit: str | None, selected: SelectedToken | None) -> str:
    """The Python that gives the numbers of the held query."""
    if selected is None or attention_pass.layers[selected.layer].name == "readout":
        selected = SelectedToken(0, None, 0, reverse=False)
    fitted = "image" if fit is None else f'image, fit="{fit}"'
    prepared = "image" if fit is None else f"model.prepare({fitted})[0]"
    ablation = f'HeadAblation(heads={{({selected.layer}, 0): "zero"}})'
    heads = "" if selected.head is None else f", heads=[{selected.head}]"
    rows = "" if selected.reverse else f"rows=[{selected.query}]"
    pick = f"site.weights({(rows + heads).removeprefix(', ')})" + (f"[:, :, {selected.query}]" if selected.reverse else "")
    return (
        f"{picture.imports}import vizlib\n"
        "from vizlib.analysis.attention.head_ablation import HeadAblation, compare_ablation\n\n"
        f"model = {model.code}\n"
        f"image = vizlib.read_image({picture.code})\n"
        f"site = vizlib.trace(model, {prepared}).attention[{selected.layer}]\n"
        f"{pick}  # {'(heads, queries): what each gives to it' if selected.reverse else '(heads, 1, keys): each row sums to 1'}\n\n"
        f"outcome = compare_ablation(model, model.prepare({fitted}), {ablation})\n"
        "outcome.after - outcome.before  # how the logits change without that layer's first head\n"
    )


def layer_name(attention_pass: AttentionPass, layer: int) -> str:
    """A layer as the canvas counts it."""
    return attention_pass.layers[layer].title


def token_name(attention_pass: AttentionPass, layer: int, token: int, *, key: bool = False) -> str:
    """A token of a layer in words, rows and columns counted from 1."""
    site = attention_pass.layers[layer]
    grid, names = (site.key_grid, site.key_prefix) if key else (site.query_grid, site.query_prefix)
    if not grid.cells:
        return "the answer"
    if token < grid.prefix:
        return names[token]
    row, column = divmod(token - grid.prefix, grid.width)
    return f"row {row + 1}, column {column + 1}"
