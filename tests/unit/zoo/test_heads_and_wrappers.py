"""Heads, outputs and wrappers as people have them: the classes are those of the answer, and the module inside is the one that is read."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import timm
import torch
import torchvision
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from timm.utils import ModelEmaV3
from torch import nn
from zoo_cases import SMALL

import vizlib

X = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def vit(**changes) -> VisionTransformer:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return VisionTransformer(**{**SMALL, **changes}).eval()


def replaced(module: nn.Module, name: str, head: nn.Module) -> nn.Module:
    setattr(module, name, head)
    return module.eval()


class TwoHeads(nn.Module):
    """The head is not the last layer of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc, self.auxiliary = nn.Conv2d(3, 8, 3), nn.Linear(8, 10), nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))


class Unnamed(nn.Module):
    """The last layer is not the one that answers, and no name says so."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.answer, self.spare = nn.Conv2d(3, 8, 3), nn.Linear(8, 6), nn.Linear(8, 4)

    def forward(self, x):
        return self.answer(self.first(x).relu().mean((2, 3)))


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


class Matrix(nn.Module):
    """A head that keeps a plain matrix, as losses of angles want it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 24))

    def forward(self, x):
        return nn.functional.linear(nn.functional.normalize(x), nn.functional.normalize(self.weight))


def exported(module: nn.Module, images: int | None = None) -> nn.Module:
    batch = {0: torch.export.Dim("images")} if images is None else None
    return torch.export.export(module, (X.expand(images or 2, -1, -1, -1),), dynamic_shapes=None if batch is None else (batch,)).module()


HEADS = {
    "replaced": lambda: replaced(vit(), "head", nn.Linear(24, 10)),
    "wider than declared": lambda: replaced(vit(), "head", nn.Linear(24, 25)),
    "sequential": lambda: replaced(vit(), "head", nn.Sequential(nn.Dropout(), nn.Linear(24, 12), nn.GELU(), nn.Linear(12, 3))),
    "distilled": lambda: VisionTransformerDistilled(**SMALL).eval(),
    "timm's CNN": lambda: replaced(timm.create_model("resnet10t"), "fc", nn.Linear(512, 4)),
    "torchvision's CNN": lambda: replaced(torchvision.models.resnet18(), "fc", nn.Sequential(nn.Dropout(), nn.Linear(512, 2))),
    "convolutional": convolutional,
    "two heads": lambda: TwoHeads().eval(),
    "traced": lambda: torch.jit.trace(convolutional(), X),
    "exported": lambda: exported(convolutional()),
    "a matrix": lambda: replaced(vit(), "head", Matrix()),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", HEADS)
def test_the_classes_are_those_of_the_answer(name) -> None:
    with torch.random.fork_rng():
        module = HEADS[name]()
    with torch.no_grad():
        width = module(X).shape[1]
    model = vizlib.wrap(module, input_size=32)
    assert model.num_classes == width
    assert vizlib.wrap(module, input_size=32, labels=[f"class {index}" for index in range(width)]).label(width - 1) == f"class {width - 1}"
    assert vizlib.explain(model, X[0], "occlusion", target=width - 1).target == width - 1
    with pytest.raises(vizlib.TargetError, match=f"0 to {width - 1}"):
        vizlib.explain(model, X[0], "occlusion", target=width)


def test_a_guess_is_put_right_by_the_first_answer() -> None:
    model = vizlib.wrap(Unnamed().eval(), input_size=32)
    assert model.num_classes == 4
    model(X)
    assert model.num_classes == 6
    assert vizlib.explain(vizlib.wrap(Unnamed().eval(), input_size=32), X[0], "saliency", target=5).target == 5


@pytest.mark.parametrize("given", [{"labels": list("abcd")}, {"num_classes": 4}])
def test_what_was_given_must_fit_the_answer(given) -> None:
    model = vizlib.wrap(Unnamed().eval(), input_size=32, **given)
    with pytest.raises(vizlib.ModelError, match="answers in 6 classes"):
        vizlib.predict(model, X[0])


@pytest.mark.parametrize("classes", [-1, 2.0, True, "3"])
def test_a_number_of_classes_that_is_none(classes) -> None:
    with pytest.raises(vizlib.ModelError, match="whole number"):
        vizlib.wrap(vit(), num_classes=classes)


def test_a_head_without_layers_gives_features() -> None:
    assert vizlib.wrap(vit(num_classes=0)).num_classes == 0
    assert vizlib.wrap(replaced(vit(), "head", nn.Identity())).num_classes == 0


@dataclass
class Record:
    """An output with names, as those of transformers."""

    loss: None
    logits: torch.Tensor


class Answering(nn.Module):
    """A ViT whose answer comes in some wrapping."""

    def __init__(self, wrapping) -> None:
        super().__init__()
        self.inside, self.wrapping = vit(), wrapping

    def forward(self, x):
        return self.wrapping(self.inside(x))


OUTPUTS = {
    "a record": (lambda y: Record(None, y), None),
    "a mapping": (lambda y: {"logits": y}, None),
    "a key": (lambda y: {"a": y * 2, "b": y}, "b"),
    "an index": (lambda y: (y * 2, y), 1),
    "an attribute": (lambda y: Record(y, y * 2), "loss"),
    "a function": (lambda y: [y * 2, {"deep": y}], lambda output: output[1]["deep"]),
    "one of many places": (lambda y: y[:, :, None, None].expand(-1, -1, 4, 4), lambda output: output[:, :, 2, 3]),
}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_the_logits_are_found_in_the_output(name, method) -> None:
    wrapping, outputs = OUTPUTS[name]
    model, inside = vizlib.wrap(Answering(wrapping).eval(), input_size=32, outputs=outputs), vizlib.wrap(vit())
    assert torch.equal(model(X), inside(X))
    own, expected = (vizlib.explain(each, X[0], method, target=2).input_map for each in (model, inside))
    assert np.array_equal(own, expected)


@pytest.mark.parametrize("outputs", ["c", 7, "loss"])
def test_an_output_that_is_not_there(outputs) -> None:
    model = vizlib.wrap(Answering(lambda y: {"a": y}).eval(), input_size=32, outputs=outputs)
    with pytest.raises(vizlib.ModelError, match="has no"):
        vizlib.predict(model, X[0])


def test_a_classifier_of_transformers_answers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8, num_labels=7
    )
    with torch.random.fork_rng():
        module = transformers.ViTForImageClassification(config).eval()
    model = vizlib.wrap(module, input_size=32)
    assert model.num_classes == 7
    with torch.no_grad():
        assert torch.equal(model(X), module(X).logits)
    assert vizlib.explain(model, X[0], "saliency", target=6).input_map.any()


def blocks_compiled(module: nn.Module) -> nn.Module:
    module.blocks = nn.Sequential(*(torch.compile(block) for block in module.blocks))
    return module


WRAPPERS = {
    "compiled": torch.compile,
    "in parallel": nn.DataParallel,
    "averaged": torch.optim.swa_utils.AveragedModel,
    "EMA": ModelEmaV3,
    "its blocks compiled": lambda module: blocks_compiled(copy.deepcopy(module)),
    "twice": lambda module: nn.DataParallel(torch.compile(module)),
}


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("method", ["rollout", "relevance", "grad_cam"])
def test_wrappers_are_looked_through(name, method) -> None:
    module = vit()
    wrapped, inside = vizlib.wrap(WRAPPERS[name](module)), vizlib.wrap(module)
    own, expected = (vizlib.explain(model, X[0], method, target=1).input_map for model in (wrapped, inside))
    assert np.array_equal(own, expected)
    assert wrapped.card.name == "VisionTransformer"


def test_compiled_blocks_stay_and_their_weights_and_hooks_are_read_live() -> None:
    module = blocks_compiled(vit())
    model, calls = vizlib.wrap(module), []
    module.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        module.head.weight.zero_()
    assert not vizlib.explain(model, X[0], "saliency", target=1).input_map.any()
    assert calls
    assert type(module.blocks[0]).__name__ == "OptimizedModule"


def test_a_module_of_one_image_at_a_time_says_so() -> None:
    model = vizlib.wrap(exported(convolutional(), images=1), input_size=32)
    assert vizlib.explain(model, X[0], "saliency", target=1).input_map.any()
    with pytest.raises(vizlib.ModelError, match="runs on one image and not on 2"):
        vizlib.predict(model, torch.cat([X, X]))


def test_what_is_named_like_timms_and_is_something_else_is_not_read_as_that() -> None:
    class Named(TwoHeads):
        feature_info = pretrained_cfg = output_fmt = property(lambda self: self.forward)

        def patch_embed(self):
            raise AssertionError

    model = vizlib.wrap(Named().eval(), input_size=32)
    assert vizlib.explain(model, X[0], "saliency", target=1).input_map.any()
    assert vizlib.wrap(timm.create_model("naflexvit_base_patch16_gap", num_classes=3)).num_classes == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_frozen_module_has_no_parts_to_count_and_takes_a_number() -> None:
    plain = convolutional()
    frozen = torch.jit.freeze(torch.jit.trace(plain, X))
    with pytest.raises(vizlib.MethodError, match="cannot be read from its parts; give num_classes="):
        vizlib.explain(vizlib.wrap(frozen, input_size=32), X[0], "occlusion")
    width = plain(X).shape[1]
    told, same = vizlib.wrap(frozen, input_size=32, num_classes=width), vizlib.wrap(plain, input_size=32)
    found, expected = (vizlib.explain(model, X[0], "occlusion", target=1).input_map for model in (told, same))
    torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(expected), rtol=1e-4, atol=1e-6)
