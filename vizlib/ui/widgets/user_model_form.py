"""The form that opens a visitor's own checkpoint, and the list of those that are open."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import streamlit as st

import vizlib
from vizlib.engine.limits import limits
from vizlib.figures.numbers import counted
from vizlib.ui.core import formatting, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.model_loading import LoadRequest
from vizlib.ui.core.served import is_local_visitor
from vizlib.ui.core.user_model_store import LEAST_SIDE, check_weights, read_labels, user_model_store
from vizlib.ui.widgets.uploader import let_go, told
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from vizlib.ui.core.user_model_card import UserModelCard

_KINDS = ("safetensors",)
_LOCAL_KINDS = ("safetensors", "pth", "pt", "bin", "ckpt", "tar", "npz", "zip")  # other files may hold code: not of strangers
_log = logging.getLogger(__name__)


def finish_opening() -> str | None:
    """The name of a model that has just been opened, and the form closed; what went wrong is kept for the form to say."""
    form = _form()
    try:
        if _local() and (job := user_model_store().open_code()) is not None:
            job_slots.wait_for([job])
        card = user_model_store().take_in()
        if _local():
            user_model_store().open_code()
    except vizlib.CancelledError:
        form["error"] = "Stopped."
    except vizlib.VizlibError as error:
        form["error"] = str(error)
    except Exception as error:  # noqa: BLE001  the page says so, and the log what
        _log.error("A checkpoint could not be opened", exc_info=error)
        form["error"] = "Something went wrong inside vizlib; the server's log says what."
    else:
        if card is not None and card.path is None:
            return card.name
        if card is not None:
            let_go(st.session_state.get(_key("weights")))
            form.update(open=False, error="", run=uuid4().hex)
            return card.name
    return None


def draw_user_models() -> None:
    """The open models, each with a way to remove it, and the form or the way to it."""
    store = user_model_store()
    with st.container(gap="xsmall"):
        for card in store.cards.values():
            _draw_row(card)
        for sentence in store.failures:
            st.error(formatting.plain(sentence), icon=":material/error:")
        if store.opening is not None and not _form()["open"]:
            job_slots.follow("own", store.opening.job)
        if _form()["open"]:
            with st.container(border=True):
                _draw_form()
        elif len(store.cards) < limits().models:
            st.button("Your own checkpoint", key="own.show", icon=":material/upload_file:", type="tertiary", on_click=here(_show))


def _draw_row(card: UserModelCard) -> None:
    classes = counted(len(card.labels), "label") if card.labels else "no labels"
    name, kind = formatting.plain(card.title), formatting.plain(card.architecture)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":material/lock: **{name}** · {kind} · {classes} · yours alone, until you leave")
        key = f"own.remove.{card.name}"
        st.button("Remove", key=key, icon=":material/delete:", type="tertiary", on_click=here(user_model_store().remove), args=(card.name,))


def _draw_form() -> None:
    form, local = _form(), _local()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown("**Your own checkpoint**")
        st.button("Close", key="own.close", icon=":material/close:", type="tertiary", on_click=here(_close))
    where = " or give its path on this machine" if local else ""
    st.markdown(
        f"Say what the weights were trained as, then add the file{where}. Nothing in it is run. "
        "It is kept for you alone, and let go when you leave or remove it."
    )
    left, right = st.columns(2, gap="medium")
    left.selectbox(
        "Architecture",
        list(all_cards()),
        index=None,
        key=_key("architecture"),
        accept_new_options=True,
        placeholder="Choose one, or type any timm name",
        help="The model whose code made the weights. Weights of another one are refused, with the name that fits if vizlib knows it.",
    )
    weights = left.file_uploader(
        "Weights, a .safetensors, .pth or .pt file" if local else "Weights, a .safetensors file",
        type=list(_LOCAL_KINDS if local else _KINDS),
        max_upload_size=limits().weights_mb,
        key=_key("weights"),
        help=f"Up to {limits().weights_mb} MB.",
    )
    if local:
        left.text_input(
            "Or its path on this machine",
            key=_key("path"),
            placeholder="~/runs/best.pth",
            help="A .safetensors, .pth or .pt file, or a .zip that holds one; or a folder with config.json and safetensors, as "
            "transformers and timm save them, which says its architecture itself. Read without running anything in it. Only where the "
            "app is served to its own machine.",
        )
    right.number_input(
        "Input side in pixels (optional)",
        LEAST_SIDE,
        limits().side,
        value=None,
        step=1,
        key=_key("size"),
        placeholder="as the architecture has it",
        help="Only where the weights were trained for another size.",
    )
    right.selectbox(
        "Probabilities (optional)",
        ["softmax", "sigmoid"],
        index=None,
        key=_key("activation"),
        placeholder="as the classes say: softmax, sigmoid for one",
        help="Softmax where one class is right, sigmoid where several may be (multi-label).",
    )
    names = right.file_uploader(
        "Labels, a text file (optional)",
        type=["txt"],
        max_upload_size=1,
        key=_key("labels"),
        help="One class on each line, in the order of the classes; as many as the model has.",
    )
    told(weights)
    told(names)
    if form["error"]:
        sentence, *rest = form["error"].split("\n")
        st.error(formatting.plain(sentence), icon=":material/error:")
        if rest:
            with st.expander("Which weights differ", icon=":material/difference:"):
                st.code("\n".join(line.strip() for line in rest), language=None)
    busy = user_model_store().opening
    if busy is not None:
        job_slots.follow("own", busy.job)
    st.button("Open it", key="own.open", icon=":material/folder_open:", type="primary", disabled=busy is not None, on_click=here(_open))


def _open() -> None:
    form, state = _form(), st.session_state
    form["error"] = ""
    if user_model_store().opening is not None:
        return
    try:
        job = user_model_store().open(_load_request(state))
    except vizlib.VizlibError as error:
        form["error"] = str(error)
    else:
        job_slots.wait_for([job])


def _load_request(state: Any) -> LoadRequest:
    architecture, size = state[_key("architecture")], state[_key("size")]
    weights, labels = state[_key("weights")], state[_key("labels")]
    typed = (state.get(_key("path")) or "").strip() if _local() else ""
    path = Path(typed).expanduser() if typed else None
    if not architecture and not (path is not None and path.is_dir()):
        raise vizlib.ModelError("Choose the architecture that the weights were trained as.")
    if weights is None and not typed:
        raise vizlib.ModelError("Add the file with the weights; if you did, wait until all of it is here.")
    if weights is not None:
        check_weights(weights.name, weights.size, local=_local())
    if weights is not None and typed:
        raise vizlib.ModelError("Add the weights as a file or as a path, not as both.")
    names = read_labels(labels.getvalue(), labels.name) if labels is not None else None
    name = weights.name if weights is not None else typed
    path = path or user_model_store().store(weights, weights.name)
    kind = "" if path.is_dir() else architecture.strip()
    return LoadRequest(kind, path, name, names, labels.name if labels is not None else "", size, state[_key("activation")])


def _show() -> None:
    _form().update(open=True, error="")


def _close() -> None:
    user_model_store().give_up()
    let_go(st.session_state.get(_key("weights")))
    _form().update(open=False, error="", run=uuid4().hex)


def _form() -> dict[str, Any]:
    """The state of the form; ``run`` is new for each, so that one that was used opens empty."""
    return st.session_state.setdefault("own.form", {"open": False, "error": "", "run": uuid4().hex})


def _key(field: str) -> str:
    return f"own.{field}.{_form()['run']}"


def _local() -> bool:
    return is_local_visitor()
