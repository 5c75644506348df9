"""Which classifier of a distilled DeiT is explained, against the classifiers taken one by one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.zoo.adapters.timm.vit import ViTAdapter

if TYPE_CHECKING:
    from vizlib.tracing.token_grid import Grid

METHODS = ["rollout", "attention", "gradient_rollout", "relevance", "legrad"]
TOKENS = {"class": 0, "distillation": 1}


def alone(name: str) -> vizlib.Model:
    """The distilled model that answers with one of its classifiers only, and is read out at that one's token."""
    module = copy.deepcopy(zoo.model("distilled", torch.float64).module)
    with torch.no_grad():
        kept, other = (module.head, module.head_dist) if name == "class" else (module.head_dist, module.head)
        # The mean of twice the one and nothing of the other.
        for part, factor in ((kept, 2), (other, 0)):
            part.weight *= factor
            part.bias *= factor

    class OneToken(ViTAdapter):
        def _readout(self, grid: Grid, images: int, device: torch.device) -> torch.Tensor:
            return torch.eye(grid.tokens, dtype=torch.float64, device=device)[TOKENS[name]].expand(images, -1)

    return vizlib.wrap(module, adapter=OneToken(module), input_size=(32, 32))


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("method", ["rollout", "attention"])
def test_a_walk_starts_at_the_token_that_the_classifier_reads(name: str, method: str) -> None:
    model, x = zoo.model("distilled"), zoo.inputs("distilled")
    one = vizlib.explain(model, x[0], method, classifier=name)
    assert abs(one.input_map.sum() + one.sink - 1) < 1e-9
    if method == "rollout":
        assert np.array_equal(one.input_map, vizlib.explain(model, x[0], token=TOKENS[name]).input_map)
    else:
        site = vizlib.trace(model, x[0]).attention[-1]
        cells = site.weights(rows=[TOKENS[name]])[:, 0].double().mean(0)[2:]
        assert np.allclose(one.input_map.reshape(4, 8, 4, 8).sum((1, 3)).ravel(), cells.numpy(), atol=1e-7)


@pytest.mark.parametrize("method", ["rollout", "attention"])
def test_the_models_own_answer_is_the_mean_of_both(method: str) -> None:
    model, x = zoo.model("distilled"), zoo.inputs("distilled")
    parts = [vizlib.explain(model, x[0], method, classifier=name).input_map for name in TOKENS]
    assert np.allclose(sum(parts) / 2, vizlib.explain(model, x[0], method).input_map, atol=1e-12)
    assert np.abs(parts[0] - parts[1]).sum() > 1e-3


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("method", ["gradient_rollout", "relevance", "legrad"])
def test_a_gradient_is_that_of_the_classifiers_own_logit(name: str, method: str) -> None:
    model, x = zoo.model("distilled", torch.float64), zoo.inputs("distilled", 2).double()
    maps = vizlib.explain(model, x, method, 3, classifier=name), vizlib.explain(alone(name), x, method, 3)
    for one, reference in zip(*maps, strict=True):
        assert np.any(one.input_map)
        assert np.allclose(one.input_map, reference.input_map, rtol=1e-9, atol=1e-15)
    whole = vizlib.explain(model, x[0], method, 3)
    assert not np.allclose(whole.input_map, vizlib.explain(model, x[0], method, 3, classifier=name).input_map, rtol=1e-3, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_the_class_and_the_logits_stay_the_models(method: str) -> None:
    model, x = zoo.model("distilled"), zoo.inputs("distilled", 2)
    before = [vizlib.explain(model, one, method) for one in x]
    for name in TOKENS:
        for one, plain in zip(vizlib.explain(model, x, method, classifier=name), before, strict=True):
            assert (one.target, one.options["classifier"]) == (plain.target, name)
            assert np.allclose(one.logits, plain.logits, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_with_one_classifier_is_refused(method: str) -> None:
    with pytest.raises(vizlib.MethodError, match="has one classifier"):
        vizlib.explain(zoo.model("token"), zoo.inputs("token")[0], method, classifier="distillation")
    with pytest.raises(vizlib.MethodError, match="model, class, distillation"):
        vizlib.explain(zoo.model("distilled"), zoo.inputs("distilled"), method, classifier="teacher")
