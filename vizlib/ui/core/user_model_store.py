"""A visitor's own weights: checked, opened beside the page, kept for that visitor only and gone when they leave."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import streamlit as st

import vizlib
from vizlib.engine.limits import limits
from vizlib.ui.core.model_loading import LoadRequest
from vizlib.ui.core.model_service import ModelService, service
from vizlib.ui.core.user_model_card import UserModelCard
from vizlib.zoo.cards import ModelCard
from vizlib.zoo.user_code import CODE_VARIABLE

if TYPE_CHECKING:
    from typing import BinaryIO

    from vizlib.engine.jobs import Job

LEAST_SIDE: Final = 16  # pixels of an input side that a visitor may ask for
GRACE: Final = 180.0  # seconds a lost browser may come back in: a little more than Streamlit keeps its session


@dataclass(frozen=True)
class PendingLoad:
    """A model on its way to the store."""

    identity: str
    request: LoadRequest
    job: Job[ModelCard]


class UserModelStore:
    """The models that one visitor opened.

    When the browser goes, their memory is freed at once; uploaded files and all else follow after ``GRACE`` seconds, unless the
    visitor was only cut off and is back by then.
    """

    def __init__(self, home: ModelService) -> None:
        self.identity = uuid4().hex
        self.cards: dict[str, UserModelCard] = {}
        self.opening: PendingLoad | None = None
        self.failures: list[str] = []  # of the user's own code
        self._code = list(code_of_the_command())
        self._engine, self._numbers = home, count(1)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._back = threading.Event()

    def store(self, file: BinaryIO, name: str) -> Path:
        """A copy of an uploaded file on the disk, where it costs no memory; ModelError when the disk is full."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="vizlib-", ignore_cleanup_errors=True)
        path = Path(self._folder.name) / f"{uuid4().hex}{Path(_harmless(name)).suffix.lower()}"
        try:
            file.seek(0)
            with path.open("wb") as copy:
                shutil.copyfileobj(file, copy)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise vizlib.ModelError(f"{name} cannot be kept on this server ({error.strerror or error}): its disk may be full.") from error
        return path

    def open(self, request: LoadRequest) -> Job[ModelCard]:
        """The job that loads a model; ``take_in`` puts it into the store when it is loaded. ModelError beyond what one visitor may keep."""
        if len(self.cards) >= limits().models and request.path is not None:
            raise vizlib.ModelError(f"{limits().models} models of your own are the most here: remove one first.")
        identity = f"own:{uuid4().hex}"
        job = self._engine.open(identity, request.load)
        self.opening = PendingLoad(identity, request, job)
        return job

    def open_code(self) -> Job[ModelCard] | None:
        """The job that opens the next model of the user's own code that the command named; None when there is none, or another opens."""
        if self.opening is not None or not self._code:
            return None
        return self.open(LoadRequest("", None, self._code.pop(0)))

    def take_in(self) -> UserModelCard | None:
        """The card of the model that was being opened, None while that goes on; raises what it ended with, and drops it, if not well."""
        if self.opening is None or not self.opening.job.done:
            return None
        opened = self.opening
        try:
            card = opened.job.result()
        except BaseException as error:
            self.give_up()
            if opened.request.path is None and isinstance(error, vizlib.VizlibError):
                self.failures.append(str(error))
                return None
            raise
        self.opening = None
        return self._add(opened.identity, opened.request, card)

    def give_up(self) -> None:
        """Stop opening, and let go of what was there already."""
        if self.opening is not None:
            self.opening.job.cancel()
            self._drop(self.opening.identity, self.opening.request.path)
            self.opening = None

    def _add(self, identity: str, request: LoadRequest, card: ModelCard) -> UserModelCard:
        values = {field.name: getattr(card, field.name) for field in fields(ModelCard)}
        values |= {"name": f"own-{next(self._numbers)}", "title": request.source_name, "source": "own", "accuracy": None, "training": None}
        licence = f"Your own weights of {request.architecture}" if request.architecture else "Your own model"
        values |= {"url": "", "wrapping": "", "preprocessing": "", "note": "", "licence": licence}
        own = UserModelCard(
            **values,
            identity=identity,
            architecture=request.architecture or _kind(card),
            source_name=request.source_name,
            labels_name=request.labels_name,
            size=request.size,
            given_activation=request.activation,
            path=request.path,
        )
        self.cards[own.name] = own
        return own

    def _drop(self, identity: str, path: Path | None) -> None:
        self._engine.forget(identity)
        if self._folder is not None and path is not None and path.is_relative_to(self._folder.name):
            path.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Let go of a model: its memory, its answers and, where it was uploaded, its file."""
        card = self.cards.pop(name, None)
        if card is not None:
            self._drop(card.identity, card.path)

    def leave(self) -> None:
        """The browser is gone: free the memory now, and all else unless it comes ``back``."""
        self._back = back = threading.Event()
        threading.Thread(target=self._left, args=(back,), name="vizlib-leave", daemon=True).start()

    def back(self) -> None:
        """The browser is there, or there again."""
        self._back.set()

    def close(self) -> None:
        """Let go of everything."""
        self.give_up()
        for name in list(self.cards):
            self.remove(name)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _left(self, back: threading.Event) -> None:
        self.give_up()
        for card in list(self.cards.values()):
            self._engine.unload(card.identity)
        if not back.wait(GRACE):
            self.close()


def code_of_the_command() -> list[str]:
    """The models of the user's own code, ``module:function``, that ``vizlib app --model`` named."""
    return [name for name in os.environ.get(CODE_VARIABLE, "").split(",") if name]


def user_model_store() -> UserModelStore:
    """This visitor's store."""
    if "user_models.store" not in st.session_state:
        st.session_state["user_models.store"] = UserModelStore(service())
    store: UserModelStore = st.session_state["user_models.store"]
    return _until_the_visit_ends(store.identity, store)


# Streamlit lets go of what a session cached when its browser disconnects, and calls on_release: that is the end of a visit.
@st.cache_resource(scope="session", show_spinner=False, on_release=UserModelStore.leave)
def _until_the_visit_ends(identity: str, _store: UserModelStore) -> UserModelStore:  # noqa: ARG001  it is the key
    _store.back()
    return _store


def read_labels(content: bytes, name: str) -> tuple[str, ...]:
    """The labels in a text file, one on each line that is not blank; ModelError when it is no text."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise vizlib.ModelError(f"{name} is not a text file in UTF-8: save it as plain text, one label on each line.") from error
    labels = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not labels:
        raise vizlib.ModelError(f"{name} holds no labels: write one on each line, in the order of the classes.")
    return labels


def check_weights(name: str, size: int, *, local: bool) -> None:
    """Raise ModelError for an upload that this server does not read: too large, or, of a visitor from elsewhere, no safetensors."""
    most = limits().weights_mb
    if size > most << 20:
        raise vizlib.ModelError(f"{name} has {size / 1e6:.0f} MB, over this server's limit of {most} MB for weights.")
    if not local and not name.lower().endswith(".safetensors"):
        raise vizlib.ModelError(f"{name} is not a .safetensors file, all that this server reads of visitors: convert it to safetensors.")


def _kind(card: ModelCard) -> str:
    """What a model that says its architecture itself is: the class of its module, else its family."""
    return card.title.rpartition("(")[2].rstrip(")") if card.title.endswith(")") else card.family


def _harmless(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", Path(name.replace("\\", "/")).name, flags=re.ASCII)
