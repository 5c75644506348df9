"""Every method on every family on a second device, pretended: a tensor left on the CPU fails, and the map is the CPU's."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from pretended_card import CARD, pretended_card
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import vizlib
from vizlib.analysis import forward_steps, logit_lens
from vizlib.catalog.methods import METHODS
from vizlib.errors import DeviceError, VizlibError
from vizlib.explainers.scorer import make_scorer
from vizlib.explainers.targets import Target
from vizlib.zoo.weights import fill_random

FULL = bool(os.environ.get("VIZLIB_FULL_TABLE"))
SHARE = 4
"""One case in so many runs by default, VIZLIB_FULL_TABLE runs all; no method, no option and no family is left out."""
ASKED = [*((method, {}) for method in METHODS), *zoo.CHOSEN]
CASES = [
    (name, method, options)
    for row, name in enumerate(zoo.FAMILIES)
    for column, (method, options) in enumerate(ASKED)
    if method in zoo.model(name).card.methods and (FULL or (row + column) % SHARE == 0)
]


def on_card(name: str) -> vizlib.Model:
    module = zoo.ALL[name]()
    fill_random(module)
    return vizlib.wrap(module.eval().to(CARD), input_size=zoo.SIZES.get(name, (32, 32)))


def one_map(model: vizlib.Model, name: str, method: str, options: dict) -> np.ndarray:
    explanations = vizlib.explain(model, zoo.inputs(name), method, 1, **zoo.few(method, **options))
    return (explanations[0] if isinstance(explanations, list) else explanations).input_map


@pytest.mark.parametrize(
    ("name", "method", "options"), CASES, ids=["-".join([method, *options.values(), name]) for name, method, options in CASES]
)
def test_a_map_on_another_device_is_that_of_the_cpu(name, method, options, monkeypatch):
    known = one_map(zoo.model(name), name, method, options)
    with pretended_card(monkeypatch):
        model = on_card(name)
        assert next(model.module.parameters()).device == CARD
        there = one_map(model, name, method, options)
    # The weights of Grad-CAM++ divide by sums that may cancel: where they do, float32 is off float64 by 2e-4 on the CPU too.
    assert np.abs(there - known).max() <= (1e-3 if method == "grad_cam_plus_plus" else 1e-4) * np.abs(known).max()


def test_the_pretended_card_refuses_a_tensor_that_was_left_behind(monkeypatch):
    with pretended_card(monkeypatch):
        there = torch.ones(2, 2).to(CARD)
        assert (there @ there).device == CARD
        assert (there + 1.0).sum().item() == 8.0
        for left_behind in (lambda: there @ torch.ones(2, 2), lambda: torch.cat([there, torch.ones(2, 2)])):
            with pytest.raises(RuntimeError, match="same device"):
                left_behind()


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_what_is_measured_on_another_device_is_what_the_cpu_gives(name, monkeypatch):
    known = measured(zoo.model(name), name)
    with pretended_card(monkeypatch):
        there = measured(on_card(name), name)
    assert known.keys() == there.keys()
    for what, values in known.items():
        np.testing.assert_allclose(there[what], values, rtol=1e-4, atol=1e-5 * np.abs(values).max(), err_msg=what)


def measured(model: vizlib.Model, name: str) -> dict[str, np.ndarray]:
    """Answers, attention, tokens, the logit lens and the steps of a pass; what a family does not have is left out."""
    images = zoo.inputs(name)
    trace = vizlib.trace(model, images)[0]
    found = {"logits": trace.logits, "answers": torch.tensor([one.probability for one in vizlib.predict(model, images)[0]])}
    found |= {f"attention of {site.name}": site.weights() for site in trace.attention}
    found |= {f"tokens of {block}": tokens for block, tokens in trace.tokens.items()}
    with contextlib.suppress(VizlibError):
        found["lens"] = logit_lens(model, images[0]).logits
    with contextlib.suppress(VizlibError):
        found |= {f"lengths after {block.name}": block.leaves.lengths for block in forward_steps(model, images[0]).blocks}
    return {what: values.detach().cpu().numpy() for what, values in found.items()}


def largest_tensor(model: vizlib.Model, call) -> int:
    """How many numbers the largest tensor of a call has."""
    sizes = []

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.extend(leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))
            return out

    with Sizes():
        call(model)
    return max(sizes)


CALLS = {
    "predict": lambda model, x: [one[0].logit for one in vizlib.predict(model, x)],
    "trace": lambda model, x: [one.logits.cpu().numpy() for one in vizlib.trace(model, x)],
    "rollout": lambda model, x: [one.input_map for one in vizlib.explain(model, x, "rollout", 1)],
    "relevance": lambda model, x: [one.input_map for one in vizlib.explain(model, x, "relevance", [0, 1, 2, 0, 1])],
    "what a perturbation asks": lambda model, x: make_scorer(model, x[:1], lambda _: [Target(1, "")]).answers(x).cpu().numpy(),
}


@pytest.mark.parametrize("call", CALLS)
def test_what_a_card_has_no_room_for_goes_in_halves_with_the_same_result(call, monkeypatch):
    x, run = zoo.inputs("token", 5), CALLS[call]
    with torch.no_grad():
        known = run(zoo.model("token"), x)
        most = largest_tensor(zoo.model("token"), lambda model: run(model, x))
    with pretended_card(monkeypatch):
        model = on_card("token")
    with pretended_card(monkeypatch, largest=0.6 * most), torch.no_grad():
        there = run(model, x)
    assert len(there) == len(known)
    for ours, theirs in zip(there, known, strict=True):
        assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


def test_a_card_without_room_for_one_image_says_so_and_the_copy_on_the_cpu_works(monkeypatch):
    x = zoo.inputs("token")
    known = one_map(zoo.model("token"), "token", "relevance", {})
    with pretended_card(monkeypatch):
        model = on_card("token")
    with pretended_card(monkeypatch, largest=64):
        with pytest.raises(DeviceError, match="does not suffice"):
            vizlib.explain(model, x[0], "relevance", 1)
        there = model.on_cpu()
        assert {tensor.device.type for tensor in there.module.parameters()} == {"cpu"}
        assert {tensor.device for tensor in model.module.parameters()} == {CARD}
        assert np.array_equal(one_map(there, "token", "relevance", {}), known)
    assert zoo.model("token").on_cpu() is zoo.model("token")
