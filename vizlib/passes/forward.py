"""What one forward pass of a model did: attention sites, token states, feature maps, logits."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError, ModelError
from vizlib.tracing.chosen_calls import record_pass
from vizlib.tracing.residuals import ResidualMeter
from vizlib.tracing.shared_copy import add_hooks, copy_along, hooked_copy, shared_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn

    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.tracing.recorder import Recording
    from vizlib.tracing.shared_copy import Hook
    from vizlib.zoo.adapters import Lineage, Tap
    from vizlib.zoo.model import Model


@dataclass(frozen=True, eq=False)
class Trace:
    """One image's pass: logits (K,), attention sites in order, tokens {block: (prefix + h w, C)}, features {stage: (C, h, w)}.

    ``readout`` (tokens,) is the row that the model's answer is read from; ``unreadable`` says why there are no sites where there are none.
    """

    logits: torch.Tensor
    attention: list[AttentionSite]
    tokens: dict[str, torch.Tensor]
    features: dict[str, torch.Tensor]
    readout: torch.Tensor | None = None
    unreadable: str | None = None

    def __repr__(self) -> str:
        parts = (f"logits {tuple(self.logits.shape)}", f"{len(self.attention)} attention sites", f"tokens of {len(self.tokens)} blocks")
        return f"Trace({', '.join(parts)}, features of {len(self.features)} parts)"

    def _repr_html_(self) -> str:
        from vizlib.figures.notebook import table_html

        sites = [
            (site.name, str(site.heads), f"{site.query_grid} by {site.key_grid}", _shape(self.tokens.get(site.name.rpartition(".")[0])))
            for site in self.attention
        ]
        if not sites:
            sites = [(name, "", "", _shape(state)) for name, state in {**self.features, **self.tokens}.items()]
        reason = f": {self.unreadable}" if self.unreadable else ""
        title = f"Trace: logits {tuple(self.logits.shape)}, {len(self.attention)} attention sites{reason}"
        return table_html(title, sites, ("part", "heads", "queries by keys", "state"))


def _shape(state: torch.Tensor | None) -> str:
    return "" if state is None else " x ".join(map(str, state.shape))


@dataclass(frozen=True, eq=False)
class Pass:
    """A recorded forward pass over a batch: the input (B, 3, h, w), logits (B, K), and how to go from the read-out to the pixels."""

    model: Model
    x: torch.Tensor
    recording: Recording
    states: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def logits(self) -> torch.Tensor:
        """(B, K), in the model's precision."""
        assert self.recording.output is not None  # noqa: S101  record() always sets it
        return self.recording.output

    @property
    def size(self) -> tuple[int, int]:
        """The input's (h, w)."""
        return (int(self.x.shape[2]), int(self.x.shape[3]))

    def lineage(self, windows: str = "uniform") -> Lineage:
        """The read-out and the steps down to the pixels; MethodError where they cannot be told for certain."""
        self.recording.x = self.x
        return self.model.adapter.lineage(self.recording, self.size, windows)


def run(model: Model, x: torch.Tensor, *, keep_values: bool = False, keep_states: bool = False) -> Pass:
    """Run the model once on prepared inputs (B, 3, h, w) under the recorder, without gradients.

    ``keep_values`` keeps v and the outputs of the attentions, ``keep_states`` the tokens and feature maps the adapter names.
    """
    x = model.cast(x)
    module = model.resting()
    with torch.inference_mode():
        if not keep_states:
            return _checked(Pass(model, x, recorded(model, x, lambda: model.run(module, x), keep_values=keep_values)))
        states: dict[str, torch.Tensor] = {}
        taps = model.adapter.taps((int(x.shape[2]), int(x.shape[3])))
        with capture_taps(module, taps, states) as copied:
            recording = recorded(model, x, lambda: model.run(copied, x), keep_values=keep_values)
        return _checked(Pass(model, x, recording, {tap.name: states[tap.name] for tap in taps if tap.name in states}))


def recorded(model: Model, x: torch.Tensor, run: Callable[[], torch.Tensor], *, keep_values: bool = False) -> Recording:
    """What a pass did, with the attentions alone that the answer comes from."""
    recording = record_pass(run, keep_values=keep_values, chosen=model.adapter.products(x))
    recording.calls = model.adapter.answering(recording.calls)
    if not torch.is_grad_enabled():  # a module that keeps tables of an earlier pass, as LeViT its biases, still hands out their graph
        recording.calls = [call.detached() for call in recording.calls]
    return recording


@contextmanager
def capture_taps(module: nn.Module, taps: Sequence[Tap], states: dict[str, torch.Tensor]) -> Iterator[nn.Module]:
    """A copy of ``module``, at rest, that puts what each tap names into ``states``, by the tap's name.

    MethodError where autograd watches and the module goes on to change one of them in place: its gradient would be that of another tensor.
    """
    versions: dict[str, int] = {}

    def keep(tap: Tap) -> Hook:
        def hook(inputs: tuple[Any, ...], output: Any) -> None:
            value = inputs[0] if tap.side == "input" else output
            states[tap.name] = state = value[0] if isinstance(value, tuple) else value
            if torch.is_grad_enabled() and isinstance(state, torch.Tensor):
                versions[tap.name] = state._version

        return hook

    copied = copy_along(module, [tap.path for tap in taps])  # a copy of all parts takes a tenth of a forward pass of a small model
    add_hooks(copied, [(tap.path, keep(tap)) for tap in taps])
    yield copied
    changed = next((tap for tap in taps if tap.name in versions and states[tap.name]._version != versions[tap.name]), None)
    if changed is not None:
        raise MethodError(
            f"{type(module).__name__} changes what {changed.path} {'is given' if changed.side == 'input' else 'gives'} in place, so its "
            "gradient cannot be told; write x = x + ... for x += ... there."
        )


def run_measured(model: Model, x: torch.Tensor, *, shares: bool = False, windows: str = "uniform", keep_values: bool = False) -> Pass:
    """``run``, with what some options of a rollout read beside the attention, on a shared copy where there is anything to read.

    ``shares`` measures how much of each token goes past the branches of the residuals; ``windows`` other than "uniform" keeps the inputs of
    windows that the module itself does not report; ``keep_values`` keeps v and the outputs of the attentions.
    """
    meter = ResidualMeter(model.adapter.forks() if shares else ())
    inputs: dict[str, dict[str, Any]] = {}
    hooks = [*meter.hooks(), *((path, _keep_input(inputs, path)) for path in model.adapter.window_inputs(windows))]
    if not hooks:
        return run(model, x, keep_values=keep_values)
    x = model.cast(x)
    with torch.inference_mode(), hooked_copy(model.resting(), hooks) as copied:
        recording = recorded(model, x, lambda: model.run(copied, x), keep_values=keep_values)
        recording.residual_shares.update(meter.shares())
        for name, values in inputs.items():
            recording.note(name, values)
        return _checked(Pass(model, x, recording))


def _keep_input(into: dict[str, dict[str, Any]], path: str) -> Hook:
    return lambda inputs, output: into.update({path: {"x": inputs[0]}})  # noqa: ARG005  one signature for all hooks


def _checked(forward_pass: Pass) -> Pass:
    check_finite(forward_pass.model, forward_pass.x, forward_pass.logits)
    return forward_pass


def check_finite(model: Model, x: torch.Tensor, logits: torch.Tensor) -> None:
    """ModelError, naming the part where NaN or infinity first appears, when the logits of the inputs hold any."""
    if bool(torch.isfinite(logits).all()):
        return
    first: list[str] = []
    copied = shared_copy(model.module).eval()
    packed = False
    for name, part in copied.named_modules():
        if isinstance(part, torch.jit.ScriptModule):  # takes no hooks
            packed = True
        elif not list(part.children()):
            part.register_forward_hook(lambda _, __, output, name=name: None if _finite(output) else first.append(name))
    with torch.inference_mode():
        model.run(copied, x)
    unnamed = f"{'its TorchScript, which cannot be watched, or ' if packed else ''}the model's own arithmetic between its parts"
    where = first[0] if first else unnamed
    part = dict(model.module.named_modules()).get(where)
    cause = "its weights hold them" if part is not None and not all(map(_finite, part.parameters())) else f"in {model.dtype} it overflows"
    raise ModelError(f"{model.card.name} gives NaN or infinity, first in {where}: {cause}; check the checkpoint, or load it in float32.")


def _finite(value: object) -> bool:
    return not isinstance(value, torch.Tensor) or bool(torch.isfinite(value).all())


def traces(model: Model, x: torch.Tensor) -> list[Trace]:
    """The trace of each of the prepared inputs (B, 3, h, w), run as one batch."""
    forward_pass = run(model, x, keep_values=True, keep_states=True)
    taps = {tap.name: tap for tap in model.adapter.taps(forward_pass.size)}
    lineage, why = None, None
    try:
        lineage = forward_pass.lineage()
    except MethodError as error:
        why = str(error)
    return [_trace_of(forward_pass, taps, lineage, why, index) for index in range(len(x))]


def _trace_of(forward_pass: Pass, taps: dict[str, Tap], lineage: Lineage | None, why: str | None, index: int) -> Trace:
    tokens, features = {}, {}
    for name, state in forward_pass.states.items():
        grid = taps[name].grid
        if grid is None:
            features[name] = state[index]
        else:
            tokens[name] = state[index].flatten(0, -2)  # a map with channels last has rows and columns
            features[name] = tokens[name][grid.prefix :].T.unflatten(1, grid.shape)
    sites: list[AttentionSite] = []
    if lineage is not None:
        sites = [site.image(index) for site in lineage.sites]
    return Trace(forward_pass.logits[index], sites, tokens, features, None if lineage is None else lineage.readout[index], why)
