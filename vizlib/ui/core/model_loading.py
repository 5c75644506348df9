"""How the app's workers make the models that pages name: by card, untrained, or from a visitor's own file or code."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import vizlib
from vizlib.engine.memory import available_memory
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vizlib import Model, ModelCard
    from vizlib.engine.jobs import Progress

BYTES_PER_WEIGHT: Final = 4


@dataclass(frozen=True)
class LoadRequest:
    """What a visitor wants opened: the weights at ``path``, called ``source_name`` on the page, as an ``architecture``.

    A folder with config.json says its architecture itself. Without a ``path`` it is what the user's own code ``source_name``, a
    ``module:function``, gives.
    """

    architecture: str
    path: Path | None
    source_name: str
    labels: tuple[str, ...] | None = None
    labels_name: str = ""
    size: int | None = None
    activation: str | None = None

    def load(self, progress: Progress) -> Model:
        """The model; ModelError in words that name the visitor's file, not where it lies on this machine."""
        progress(0, None, f"Opening {self.source_name}")
        if self.path is None:
            from vizlib.zoo.user_code import load_code

            return load_code(self.source_name)
        from vizlib.zoo.loading_plans import plan_for

        given: dict[str, Any] = {"labels": self.labels, "image_size": self.size, "activation": self.activation}
        try:
            if self.path.is_dir():
                return vizlib.load(str(self.path), **given)
            plan_for(self.architecture)  # a name that is known: never a folder of this machine or an address
            _check_memory(self.architecture)
            return vizlib.load(self.architecture, checkpoint=self.path, **given)
        except vizlib.VizlibError as error:
            raise type(error)(str(error).replace(str(self.path), self.source_name)) from None


def load_by_name(name: str, progress: Progress) -> Model:
    """The model of a card; CancelledError for a visitor's own that is gone."""
    if name not in all_cards():
        raise vizlib.CancelledError("This model was removed.")
    return load_card(name, progress)


def load_card(name: str, progress: Progress) -> Model:
    """The model of a card, fetched where its weights are not here."""
    progress(0, None, "Loading the model")

    def report(fetched: int, total: int | None) -> None:
        of = f" of {total / 1e6:.0f}" if total else ""
        progress(fetched, total, f"Fetching {name}: {fetched / 1e6:.0f}{of} MB")

    return vizlib.load(name, progress=report)


def load_random(name: str, title: str, progress: Progress) -> Model:
    """An architecture with random weights, called ``title`` while it is built."""
    progress(0, None, f"Building {title} with random weights")
    return vizlib.load(name, checkpoint="random")


def card_of(model: Model, progress: Progress) -> ModelCard:  # noqa: ARG001  it has no steps
    """A model's card: the work of opening it."""
    return model.card


def import_vision(progress: Progress) -> None:  # noqa: ARG001  it has no steps
    """Import what work with vision models needs, in a quarter less time: thousands of new objects and no garbage among them."""
    gc.disable()
    try:
        import timm  # noqa: F401

        import vizlib.explainers.api  # noqa: F401
        import vizlib.zoo.load  # noqa: F401
    finally:
        gc.enable()


def imported(imports: Callable[[Progress], None], progress: Progress) -> None:
    """The work of having something imported."""
    imports(progress)


def _check_memory(architecture: str) -> None:
    """Refuse an architecture that this server could not hold, before any of it is built."""
    card = all_cards().get(architecture)
    parameters = card.parameters if card else _parameters(architecture)
    needed, free = parameters * BYTES_PER_WEIGHT, available_memory()
    if needed > free // 2:
        raise vizlib.ModelError(
            f"{architecture} takes {needed / 1e6:.0f} MB, and this server can spare {free / 2e6:.0f} MB: choose a smaller one, "
            "or load it with vizlib.load on a larger machine."
        )


def _parameters(architecture: str) -> int:
    import timm
    import torch

    if not timm.is_model(architecture):
        return 0  # vizlib.load says so, and names the nearest
    with torch.device("meta"):
        module: Any = timm.create_model(architecture, pretrained=False)
    return sum(parameter.numel() for parameter in module.parameters())
