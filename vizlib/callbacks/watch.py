"""A call in a training loop that looks at the model every so many steps, and leaves the training as it would be without it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vizlib.callbacks.look import take_look
from vizlib.catalog.methods import METHODS
from vizlib.errors import MethodError, TrainingError, VizlibError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from vizlib.callbacks.look import Look

FIRST_CHOICES = ("rollout", "grad_cam")  # the first that fits the model is taken where no method is named
SHARE = 0.02


class Tracker(Protocol):
    """Where looks go."""

    def write(self, look: Look) -> None:
        """Take one look."""

    def close(self) -> None:
        """The training is over."""


class Watch:
    """Call it after each step of a training, ``watch(step)``: at the first call and every ``every`` steps it looks at the same pictures.

    ``module`` is the live network, read in place. ``pictures`` is {name: image} or a list of paths, images or prepared tensors;
    ``methods`` are names of methods, rollout or else Grad-CAM unless given; ``heads`` False leaves out what heads do. ``to`` is one
    tracker or several, as ``Folder``. A look is put off while looks have taken more than ``share`` of the time since the first call;
    None puts none off. ``wrapping`` goes to ``vizlib.wrap``: transform, labels, input_size, part, adapter and the like.

    The first look raises what is wrong (VizlibError); a later one only warns, so that it never ends a training. Weights, gradients, modes
    and generators are the same bits as without it.
    """

    def __init__(
        self,
        module: nn.Module,
        pictures: Mapping[str, Any] | Sequence[Any],
        *,
        to: Tracker | Sequence[Tracker],
        every: int = 500,
        methods: Sequence[str] | None = None,
        heads: bool = True,
        share: float | None = SHARE,
        **wrapping: Any,
    ) -> None:
        import vizlib

        if every < 1:
            raise TrainingError(f"A look every {every} steps cannot be: give 1 or more.")
        if share is not None and not 0 < share <= 1:
            raise TrainingError(f"Looks cannot take {share:g} of the time: give a share over 0 and up to 1, or None for no limit.")
        self.pictures = named_pictures(pictures)
        self.trackers: list[Tracker] = list(to) if isinstance(to, (list, tuple)) else [to]  # type: ignore[list-item]
        self.every, self.heads, self.share = every, heads, share
        self.model = vizlib.wrap(module, **wrapping)
        self.methods = tuple(methods) if methods is not None else (_first_fitting(self.model.card.unavailable),)
        for method in self.methods:
            if method not in METHODS:
                raise MethodError(f"There is no method called {method!r}.{nearest(method, list(METHODS))}")
            if method in self.model.card.unavailable:
                raise MethodError(f"{METHODS[method].title} does not fit this model: {self.model.card.unavailable[method]}")
        self.looks = self.put_off = 0
        self.last: int | None = None  # the step of the last look
        self._began: float | None = None
        self._spent = 0.0
        self._due = True
        self._asked: int | None = None

    def __call__(self, step: int) -> Look | None:
        """The look of this step, if it is one of those and not put off; written to every tracker. A step counts once."""
        if step == self._asked:
            return None
        now, self._asked = time.monotonic(), step
        if self._began is None:
            self._began = now
        elif step % self.every == 0:
            self.put_off += self._due  # the one before never came
            self._due = True
        if not self._due or self._too_dear(now):
            return None
        return self.look(step)

    def look(self, step: int) -> Look | None:
        """A look at this step whatever step it is; None where it failed, with a warning, after an earlier one had not."""
        import torch

        began, self._due = time.monotonic(), False
        try:
            look = take_look(self.model, self.pictures, self.methods, step, heads=self.heads)
            for tracker in self.trackers:
                tracker.write(look)
        except (VizlibError, OSError, torch.OutOfMemoryError) as error:
            if not self.looks:
                raise
            warnings.warn(f"The look at step {step} failed, and the training goes on: {error}", stacklevel=2)
            return None
        finally:
            self._spent += time.monotonic() - began
        self.looks, self.last = self.looks + 1, step
        return look

    def close(self, step: int | None = None) -> None:
        """The training is over, after this step: a last look there, unless there was one, and the trackers are told."""
        if step is not None and step != self.last:
            self.look(step)
        for tracker in self.trackers:
            tracker.close()

    def _too_dear(self, now: float) -> bool:
        return self.share is not None and self._began is not None and self._spent > self.share * (now - self._began)


def named_pictures(pictures: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    """The pictures by name: their own, the stem of their file, else picture 1 and so on; TrainingError for none, or for one name twice."""
    if isinstance(pictures, Mapping):
        named = {str(name): image for name, image in pictures.items()}
    else:
        names = [_name(image, number) for number, image in enumerate(pictures, 1)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise TrainingError(f"Two pictures are called {twice!r}: give them as {{name: picture}}.")
        named = dict(zip(names, pictures, strict=True))
    if not named:
        raise TrainingError("There is no picture to look at: give at least one.")
    return named


def _name(image: Any, number: int) -> str:
    return Path(image).stem if isinstance(image, (str, Path)) else f"picture {number}"


def _first_fitting(unavailable: Mapping[str, str]) -> str:
    for method in FIRST_CHOICES:
        if method not in unavailable:
            return method
    reasons = " ".join(f"{METHODS[method].title}: {unavailable[method]}" for method in FIRST_CHOICES)
    raise MethodError(f"Neither of the methods that need no choice fits this model; name one with methods=. {reasons}")
