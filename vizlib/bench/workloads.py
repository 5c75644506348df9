"""The pieces of work that are timed and weighed: the floors and the methods, each as a function without arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

import vizlib
from vizlib.passes.backward import run_with_gradient
from vizlib.zoo.user_code import is_reference, load_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.bench.cases import Case
    from vizlib.zoo.model import Model


def load(case: Case, device: str) -> tuple[Model, torch.Tensor]:
    """The case's model on ``device`` and one prepared input of noise (1, 3, h, w)."""
    if is_reference(case.model):
        model = load_code(case.model, image_size=case.side, device=device)
    else:
        model = vizlib.load(case.model, checkpoint=case.checkpoint, image_size=case.side, device=device)
    height, width = model.card.input_size
    return model, torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def run_workload(model: Model, x: torch.Tensor, name: str) -> Callable[[], None]:
    """A floor or a method by its name, done when the function returns, on a GPU too."""
    steps = {
        "forward": lambda: _forward(model, x),
        "backward": lambda: run_with_gradient(model, x, _top),
        "pixels": lambda: _to_the_pixels(model, x),
    }
    step = steps.get(name, lambda: vizlib.explain(model, x, name))

    def timed() -> None:
        step()
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)

    return timed


def _forward(model: Model, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(x)


def _to_the_pixels(model: Model, x: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():
        pixels = model.cast(x).clone().requires_grad_()
        return torch.autograd.grad(_top(model(pixels)), pixels)[0]


def _top(logits: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
    return logits.amax(1).sum()
