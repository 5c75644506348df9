"""What the page Audit shows: an audit of some pictures by some models, or one that lies in a folder of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.engine.work_order import Lane
from vizlib.evaluation.metrics import MAP_METRICS, METRICS
from vizlib.ui.core import computations
from vizlib.ui.core.served import is_local_visitor
from vizlib.ui.core.url_state import one_of, resend, some_of
from vizlib.ui.pages.audit.audit_work import compute_audit, open_audit
from vizlib.ui.sections.picture_set import pick_set
from vizlib.ui.widgets.model_picker import pick_models
from vizlib.ui.widgets.page import pick_beside_fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.audit.audit_work import AuditView
    from vizlib.ui.sections.picture_set import PictureSet

MOST_FILES = 300
MOST_METHODS = 3
HERE, FOLDER = "pictures", "folder"
_WORDS = {HERE: "Pictures here", FOLDER: "An audit's folder"}
_HINT = "Labels and boxes come with a folder or a table, which `vizlib audit` takes; pictures handed in here have none."


@dataclass(frozen=True)
class PictureSource:
    """An audit that this page makes."""

    pictures: PictureSet
    models: tuple[ModelChoice, ...]
    methods: tuple[str, ...]
    fit: str | None
    heads: bool
    lens: bool
    scores: tuple[str, ...]

    @property
    def code(self) -> str:
        """The command behind it."""
        words = ["vizlib", "audit", "photos", *(f"--model {model.name}" for model in self.models)]
        words += [f"--method {method}" for method in self.methods]
        words += [f"--fit {self.fit}"] if self.fit is not None else []
        words += ["--heads"] if self.heads else []
        words += ["--lens"] if self.lens else []
        words += [f"--score {name}" for name in self.scores]
        return " ".join([*words, "--out audit"])

    def view_or_status(self) -> AuditView | None:
        """It, once it is there; until then, drawn on the page, how far it is or why it cannot be."""
        if not self.models:
            st.info("Choose at least one model.", icon=":material/touch_app:")
            return None
        if not len(self.pictures):
            st.info("Choose at least one picture above, or add your own.", icon=":material/touch_app:")
            return None
        if not self.methods:
            st.info("Choose at least one method, or models that have one in common.", icon=":material/touch_app:")
            return None
        asked: dict[str, Any] = {"methods": self.methods, "fit": self.fit, "heads": self.heads, "lens": self.lens, "scores": self.scores}
        work = partial(compute_audit, pictures=self.pictures.pictures, **asked)
        key = ("audit", self.pictures.identity, *asked.values())
        return computations.compute_or_status("audit.made", key, self.models, work, lane=Lane.HEAVY)


@dataclass(frozen=True)
class FolderSource:
    """An audit in a folder of the machine that serves the page to itself."""

    folder: str
    data: str

    @property
    def code(self) -> str:
        """The command that made it, as far as the page knows."""
        return f"vizlib audit {self.data or 'DATA'} --model MODEL --out {self.folder or 'audit'}"

    def view_or_status(self) -> AuditView | None:
        """It, once it was read; until then, drawn on the page, why not."""
        if not self.folder:
            st.info("Name the folder that `vizlib audit` wrote (its --out).", icon=":material/folder_open:")
            return None
        key = ("folder", self.folder, self.data, _stamp(Path(self.folder).expanduser()))
        return computations.compute_or_status("audit.opened", key, [], partial(open_audit, self.folder, self.data), lane=Lane.HEAVY)


Source = PictureSource | FolderSource


def pick_source(url_state: UrlState) -> Source:
    """Let the visitor choose; folders only where the page is served to the machine it runs on, since a path is that machine's."""
    local = is_local_visitor()
    kinds = [HERE, FOLDER] if local else [HERE]
    kind = url_state.declare("from", HERE, one_of(kinds))
    folder = url_state.declare("folder", "", str) if local else ""
    data = url_state.declare("data", "", str) if local else ""
    if local:
        st.segmented_control(
            "What is shown", kinds, key=resend(kind), format_func=_WORDS.__getitem__, required=True, label_visibility="collapsed", wrap=True
        )
    if local and st.session_state[kind] == FOLDER:
        left, right = st.columns(2, gap="medium")
        left.text_input("The audit's folder", key=resend(folder), placeholder="audit", max_chars=1024)
        right.text_input(
            "Its data, for the pictures", key=resend(data), placeholder="a folder, val.parquet, list.csv", max_chars=1024,
            help="Without it the maps are shown alone.",
        )  # fmt: skip
        return FolderSource(st.session_state[folder].strip(), st.session_state[data].strip())
    pictures = pick_set(url_state, "audit", _HINT, most=MOST_FILES, command="audit")
    models, fit = pick_beside_fit(url_state, pick_models)
    methods = _pick_methods(url_state, models)
    return PictureSource(pictures, tuple(models), methods, fit, *_pick_more(url_state))


def _pick_methods(url_state: UrlState, models: Sequence[ModelChoice]) -> tuple[str, ...]:
    """Methods that all models take, at first one of them."""
    fitting = [name for name in METHODS if all(model.card is None or name in model.card.methods for model in models)]
    first = [name for name in ("rollout", "grad_cam", "saliency") if name in fitting][:1]
    key = url_state.declare("methods", first, some_of(list(METHODS), MOST_METHODS), ",".join)
    st.session_state[key] = [name for name in st.session_state[key] if name in fitting] or first
    st.multiselect(
        "Methods", fitting, key=resend(key), format_func=lambda name: METHODS[name].title, max_selections=MOST_METHODS, select_all=False,
        help="Those that fit every model chosen. Each takes about a pass a picture, some of them hundreds.",
    )  # fmt: skip
    return tuple(st.session_state[key])


def _pick_more(url_state: UrlState) -> tuple[bool, bool, tuple[str, ...]]:
    """Whether heads and answers by layer are wanted too, and by which scores the maps are judged."""
    heads, lens = (url_state.declare(name, default=False, read=_flag, write=lambda value: str(int(value))) for name in ("heads", "lens"))
    scores = url_state.declare("scores", [], some_of(list(MAP_METRICS), len(MAP_METRICS)), ",".join)
    left, right = st.columns(2, gap="medium", vertical_alignment="center")
    with left.container(horizontal=True):
        about_heads = "Distance and entropy of every head, and tokens that stand out: one more pass a picture."
        chosen = (
            st.toggle("Heads and artifacts", key=resend(heads), help=about_heads),
            st.toggle("Answers by layer", key=resend(lens), help="What the head would answer after every block: one more pass a picture."),
        )
    right.multiselect(
        "Scores", list(MAP_METRICS), key=resend(scores), format_func=lambda name: METRICS[name].title, placeholder="Judge the maps, too",
        select_all=False, help="How well each map predicts the model, beside a Gaussian: some hundred passes a picture.",
    )  # fmt: skip
    return (*chosen, tuple(st.session_state[scores]))


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(text)
    return text == "1"


def _stamp(folder: Path) -> Any:
    """What tells a folder's audit from what it was before it went on."""
    try:
        return (folder / "manifest.json").stat().st_mtime_ns, (folder / "pictures").stat().st_mtime_ns
    except OSError:
        return None
