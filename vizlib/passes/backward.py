"""One forward pass with autograd watching, and the gradient of a score at every attention's output."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError, ModelError, TargetError
from vizlib.passes.forward import Pass, capture_taps, check_finite, recorded
from vizlib.passes.gradient_rules import check_balanced, gradient_rule, module_for
from vizlib.tracing.recorder import Recording
from vizlib.tracing.slopes import slopes_at
from vizlib.zoo.adapters.base import Tap, check_applied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vizlib.zoo.model import Model


@contextmanager
def gradients_on() -> Iterator[None]:
    """Let autograd see what this thread computes, whatever the caller has switched off.

    MethodError for a module that works in place on what its gradient needs.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        try:
            yield
        except RuntimeError as error:
            if "modified by an inplace operation" not in str(error):
                raise
            raise MethodError(
                "The model changes tensors in place that its gradient needs: write x = x + ... for x += ... in its code, or take a method "
                "that needs no gradient."
            ) from error


def run_live(
    model: Model,
    x: torch.Tensor,
    *,
    keep_states: bool = False,
    part: str | None = None,
    layers: Sequence[str] = (),
    rule: str = "plain",
) -> Pass:
    """Run the model once on prepared inputs (B, 3, h, w) under the recorder with its graph kept; to be used inside ``gradients_on``.

    ``part`` and ``layers`` keep the outputs of the parts at these paths as the states of those names, ``rule`` is what its gradients go by.
    Only a copy of the input is made to require a gradient: parameters, their ``requires_grad`` and ``.grad`` stay as they are.
    """
    x = model.cast(x).detach().clone().requires_grad_()
    module = module_for(model.resting(), rule)
    taps = [Tap(path, path) for path in ([part] if part is not None else layers)]
    if keep_states:
        taps += model.adapter.taps((int(x.shape[2]), int(x.shape[3])))
    states: dict[str, torch.Tensor] = {}
    with gradient_rule(rule):
        if taps:
            with capture_taps(module, taps, states) as copied:
                recording = recorded(model, x, lambda: model.run(copied, x), keep_values=True)
        else:
            recording = recorded(model, x, lambda: model.run(module, x), keep_values=True)
    forward_pass = Pass(model, x, recording, {tap.name: states[tap.name] for tap in taps})
    check_finite(model, x, forward_pass.logits)
    check_balanced(model.card.name, forward_pass.logits, rule)
    return forward_pass


def run_with_gradient(
    model: Model, x: torch.Tensor, score: Callable[..., torch.Tensor], part: str | None = None, rule: str = "plain"
) -> Pass:
    """Run the model once and keep, at every attention, the gradient of ``score`` at its output, by a rule for gradients.

    ``score`` makes one number of the model's logits (B, K) and, where a path is named, of those that the part there gave. The graph is
    gone afterwards: all that comes back is detached.
    """
    with gradients_on():
        live = run_live(model, x, part=part, rule=rule)
        check_applied(live.recording.calls)
        performers = live.recording.of_kind("performer")
        outputs = [call.output for call in live.recording.calls] + [note["y"] for note in performers.values()]
        slopes = gradients(model, score(live.logits, *live.states.values()), outputs)
    forward_pass = detached(live)
    calls = forward_pass.recording.calls
    calls[:] = [replace(call, gradient=gradient) for call, gradient in zip(calls, slopes, strict=False)]
    for name, gradient in zip(performers, slopes[len(calls) :], strict=True):
        forward_pass.recording.notes[name]["gradient"] = gradient
    return forward_pass


def detached(live: Pass) -> Pass:
    """The same pass without its graph."""
    calls = [call.detached() for call in live.recording.calls]
    notes = {name: {key: _detached(value) for key, value in note.items()} for name, note in live.recording.notes.items()}
    states = {name: state.detach() for name, state in live.states.items()}
    return Pass(live.model, live.x.detach(), Recording(calls, notes, live.logits.detach()), states)


def gradients(
    model: Model, score: torch.Tensor, outputs: Sequence[torch.Tensor | None], *, keep_graph: bool = False
) -> tuple[torch.Tensor, ...]:
    """d score / d output of each attention.

    TargetError for a score without a gradient, MethodError for an attention that autograd cannot see or that no gradient reaches,
    ModelError for a gradient that overflows.
    """
    if not score.requires_grad:
        raise TargetError(
            "This target has no gradient with respect to the logits; compute it from them with differentiable functions, and see that "
            f"{model.card.name} does not run under no_grad."
        )
    seen = in_sight(model, outputs)
    if not seen:
        return ()  # whoever reads the pass misses the attentions that there should be
    reached = slopes_at(score, seen, keep_graph=keep_graph)
    slopes = tuple(slope for slope in reached if slope is not None)
    if len(slopes) < len(reached):
        missed = f"{len(reached) - len(slopes)} of the {len(reached)} places where {model.card.name} is read"
        raise MethodError(
            f"No gradient of this target reaches {missed}: something on the way is quantised, detached or run without gradients. "
            "Take the float weights, or a method that needs no gradient."
        )
    if not all(bool(torch.isfinite(gradient).all()) for gradient in slopes):
        raise ModelError(f"The gradients of {model.card.name} overflow in {model.dtype}; load it in float32.")
    return slopes


def in_sight(model: Model, outputs: Sequence[torch.Tensor | None]) -> list[torch.Tensor]:
    """The outputs of attentions, each with its graph; MethodError where autograd cannot see one."""
    seen = [output for output in outputs if output is not None and output.requires_grad]
    if len(seen) != len(outputs):
        raise MethodError(
            f"{model.card.name} computes an attention out of autograd's sight, so its weights have no gradient: see that it does not "
            "run under no_grad."
        )
    return seen


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, torch.Tensor) else value
