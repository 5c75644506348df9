"""Models that give features instead of classes: every method explains a function of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.zoo.weights import fill_random

NAMES = ["token", "mean", "pool", "eva_token", "resnet", "pvt_v2", "swin"]


@cache
def twins(name: str) -> tuple[vizlib.Model, vizlib.Model]:
    """A network that gives its features, and the same one whose head is the identity matrix, so that its classes are the features."""
    networks = []
    for width in (0, None):
        module = zoo.ALL[name]()
        module.reset_classifier(module.num_features if width is None else width)
        fill_random(module)
        head = module.get_classifier()
        if width is None:
            with torch.no_grad():
                head.weight.copy_(torch.eye(module.num_features))
                head.bias.zero_()
        networks.append(vizlib.wrap(module.eval(), input_size=zoo.SIZES.get(name, (32, 32))))
    return networks[0], networks[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", METHODS)
def test_a_function_of_features_is_explained_as_a_class_that_is_that_feature(method: str, name: str) -> None:
    (bare, classes), x = twins(name), zoo.inputs(name)
    assert (bare.num_classes, classes.num_classes) == (0, bare.module.num_features)
    feature = int(bare(x)[0].argmax())
    if method not in classes.card.methods:
        with pytest.raises(vizlib.MethodError, match="does not fit"):
            vizlib.explain(bare, x[0], method, lambda features: features[:, feature], **zoo.few(method))
        return
    own = vizlib.explain(bare, x[0], method, lambda features: features[:, feature], **zoo.few(method))
    expected = vizlib.explain(classes, x[0], method, feature, **zoo.few(method))
    assert expected.input_map.any()
    assert np.allclose(own.input_map, expected.input_map, rtol=1e-4, atol=1e-5 * np.abs(expected.input_map).max())
    assert own.target is None


@pytest.mark.parametrize("method", [name for name, card in METHODS.items() if "head" in card.needs and "relu" not in card.needs])
@pytest.mark.parametrize("target", [None, 1, "cat", (0, 1), [1], [None]])
def test_without_a_function_it_is_refused_with_what_to_do(method: str, target: object) -> None:
    bare, x = twins("token")[0], zoo.inputs("token")
    with pytest.raises(vizlib.MethodError, match="give a function of its features as the target"):
        vizlib.explain(bare, x[0], method, target, **zoo.few(method))


def test_each_image_may_have_a_function_of_its_own() -> None:
    bare, x = twins("token")[0], zoo.inputs("token", 2)
    functions = [lambda features: features[:, 0], lambda features: features[:, 1:3].sum(1)]
    together = vizlib.explain(bare, x, "relevance", functions)
    for image, function, explanation in zip(x, functions, together, strict=True):
        assert np.allclose(explanation.input_map, vizlib.explain(bare, image, "relevance", function).input_map, atol=1e-7)
    with pytest.raises(vizlib.MethodError, match="function"):
        vizlib.explain(bare, x, "relevance", [functions[0], 1])


def test_a_head_that_is_denied_is_none() -> None:
    module = zoo.ALL["token"]()
    model = vizlib.wrap(module.eval(), num_classes=0)
    assert "saliency" in model.card.unavailable
    assert vizlib.explain(model, zoo.inputs("token")[0], "saliency", lambda output: output[:, 0]).input_map.any()
