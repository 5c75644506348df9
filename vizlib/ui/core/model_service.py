"""Where the app's work runs: models and answers shared by all visitors, made beside the pages, one at a time."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

import numpy as np
import streamlit as st

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.engine.cache import BoundedCache
from vizlib.engine.jobs import Job, Progress, Worker
from vizlib.engine.memory import available_memory, model_bytes
from vizlib.engine.progress import told_to
from vizlib.ui.components.photo_map import MapData, pack
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib import Explanation, Model, ModelCard, Prediction
    from vizlib.ui.core.pictures import Picture

ANSWER_BYTES = 512 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class ExplanationRequest:
    """One question: this picture, this model, this method, this class (None: the model's own answer)."""

    picture: str
    model: str
    method: str
    target: int | None
    fit: str | None
    options: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model said of a picture: all classes by falling probability, and the map or the sentence that says why there is none."""

    ranking: list[Prediction]
    explanation: Explanation | None
    refusal: str
    map: MapData | None
    payload: bytes


class ModelService:
    """The models in memory, the answers they gave, and the threads that make them.

    Bundled models have a thread of their own, so that nobody waits behind somebody else's download. What it does first is to import
    what every model needs: a page asks for the engine as soon as its heading is out.
    """

    def __init__(self) -> None:
        free = available_memory()
        self._models: BoundedCache[str, Model] = BoundedCache(
            max_bytes=free // 2, size=lambda model: model_bytes(model.module), on_evict=_collect
        )
        self._answers: BoundedCache[ExplanationRequest, Answer] = BoundedCache(
            max_bytes=min(free // 8, ANSWER_BYTES), size=_answer_bytes, max_count=512
        )
        self._bundled, self._others = Worker(name="explain"), Worker(threads=2, name="explain-others")
        self._loaded: set[str] = set()
        self._makers: dict[str, Callable[[Progress], Model]] = {}  # of models without a card: visitors' own, and untrained ones
        self._imports = self._bundled.submit("imports", _import)

    @property
    def awake(self) -> bool:
        """Whether the imports that every model needs are done."""
        return self._imports.done

    def ready(self, model: str) -> bool:
        """Whether asking for a model fetches nothing from the internet."""
        return model in self._makers or model in self._loaded or _bundled(model)

    def ask(self, visitor: str, request: ExplanationRequest, picture: Picture) -> Job[Answer]:
        """The job that answers; it replaces what the same visitor last asked the same model."""
        worker = self._bundled if _bundled(request.model) else self._others
        return worker.submit((visitor, request.model), self._answer, request, picture)

    def open(self, identity: str, make: Callable[[Progress], Model]) -> Job[ModelCard]:
        """The job that loads a visitor's own model; requests then name it by ``identity``, which must be beyond guessing.

        When memory ran short and the model had to go, ``make`` is called again.
        """
        self._makers[identity] = make
        return self._others.submit(identity, self._opened, identity)

    def unload(self, identity: str) -> None:
        """Free the memory of a visitor's own model and of its answers; it is loaded again when asked for."""
        self._models.drop(lambda key: key == identity)
        self._answers.drop(lambda request: request.model == identity)

    def forget(self, identity: str) -> None:
        """Let go of a visitor's own model for good."""
        self._makers.pop(identity, None)
        self.unload(identity)

    def _opened(self, identity: str, progress: Progress) -> ModelCard:
        return self._model(identity, progress).card

    def _model(self, name: str, progress: Progress) -> Model:
        make = self._makers.get(name)
        if make is not None:
            return self._models.get(name, lambda: make(progress))
        if name not in all_cards():
            raise vizlib.CancelledError("This model was removed.")
        return self._models.get(name, lambda: _load(name, progress))

    def run(self, visitor: str, model: str, what: str, work: Callable[[Model, Progress], T]) -> Job[T]:
        """The job that does ``work`` with a model; it replaces what the same visitor last asked for as ``what``."""

        def done(progress: Progress) -> T:
            found = self._model(model, progress)
            if model in all_cards():
                self._loaded.add(model)
            return work(found, progress)

        return (self._bundled if _bundled(model) else self._others).submit((visitor, what), done)

    def model(self, name: str, progress: Progress) -> Model:
        """A model, for work that needs a second one; to be called from inside a job only."""
        found = self._model(name, progress)
        if name in all_cards():
            self._loaded.add(name)
        return found

    def _answer(self, request: ExplanationRequest, picture: Picture, progress: Progress) -> Answer:
        return self._answers.get(request, lambda: self._explain(request, picture, progress))

    def _explain(self, request: ExplanationRequest, picture: Picture, progress: Progress) -> Answer:
        model = self._model(request.model, progress)
        if request.model in all_cards():
            self._loaded.add(request.model)
        progress(0, None, "Explaining")
        explanation: Explanation | None = None
        refusal = ""
        try:
            with told_to(progress):
                made = vizlib.explain(model, picture.pixels, request.method, request.target, request.fit, **dict(request.options))
        except (vizlib.MethodError, vizlib.TargetError) as error:
            refusal = str(error)
        else:
            # The page already holds the picture: one copy is enough.
            explanation = replace(cast("Explanation", made), image=picture.pixels)
        data = _map_data(explanation)
        return Answer(_ranking(model, picture, request.fit, explanation), explanation, refusal, data, pack(picture, data))


@st.cache_resource(show_spinner=False)
def service() -> ModelService:
    """The one engine of this server."""
    return ModelService()


def visitor() -> str:
    """A name for this session."""
    return st.session_state.setdefault("work.visitor", uuid4().hex)


def _bundled(model: str) -> bool:
    card = all_cards().get(model)
    return card is not None and card.source == "bundled"


def _load(name: str, progress: Progress) -> Model:
    progress(0, None, "Loading the model")

    def told(done: int, total: int | None) -> None:
        of = f" of {total / 1e6:.0f}" if total else ""
        progress(done, total, f"Fetching {name}: {done / 1e6:.0f}{of} MB")

    return vizlib.load(name, progress=told)


def _import(progress: Progress) -> None:  # noqa: ARG001  it has no steps
    # Thousands of new objects and no garbage: looking for some would take a quarter of the time.
    gc.disable()
    try:
        import timm  # noqa: F401

        import vizlib.explainers.api
        import vizlib.zoo.load  # noqa: F401
    finally:
        gc.enable()


def _map_data(explanation: Explanation | None) -> MapData | None:
    if explanation is None:
        return None
    values = explanation.input_map
    if METHODS[explanation.method].signed:
        return MapData(values, 1.0, "score", explanation.geometry)
    if explanation.options.get("show") == "lift":
        return MapData(values, 1.0, "lift", explanation.geometry)
    total = float(np.nansum(values)) + (explanation.sink or 0.0)
    return MapData(values, total / values.size, "share", explanation.geometry)


def _ranking(model: Model, picture: Picture, fit: str | None, explanation: Explanation | None) -> list[Prediction]:
    """All classes by falling probability, from the pass that the explanation made or, where there is none, from one more."""
    import torch

    from vizlib.explainers.api import ranked

    if not model.adapter.classes:
        return []
    if explanation is not None:
        return ranked(model, torch.from_numpy(explanation.logits), model.adapter.classes)
    with torch.inference_mode():
        return ranked(model, model(model.prepare(picture.pixels, fit))[0].float().cpu(), model.adapter.classes)


def _answer_bytes(answer: Answer) -> int:
    made = answer.explanation
    return len(answer.payload) + 300 * len(answer.ranking) + (made.image.nbytes + made.input_map.nbytes if made else 0)


def _collect(_: str) -> None:
    gc.collect()  # the app runs with postScriptGC off
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.empty_cache()
