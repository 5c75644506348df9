"""A module that is read inside another one: as that module by itself on what it is given, or refused with the reason."""

from __future__ import annotations

import copy

import brute_force as brute
import numpy as np
import pytest
import timm
import torch
import zoo_cases as zoo
from averaging_network import relevance, rollout
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from traced_checks import filled
from zoo_cases import SMALL

import vizlib
from vizlib.geometry import Transform

X = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
MEAN, STD = torch.tensor([0.4, 0.5, 0.3])[:, None, None], torch.tensor([0.2, 0.3, 0.25])[:, None, None]
METHODS = (
    "rollout", "attention", "gradient_rollout", "relevance", "legrad", "grad_cam", "attention_x_gradient", "leave_one_out", "saliency",
    "occlusion",
)  # fmt: skip


def vit(**changes) -> VisionTransformer:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return VisionTransformer(**{**SMALL, **changes}).eval()


class Normalise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", MEAN)
        self.register_buffer("std", STD)

    def forward(self, x):
        return (x - self.mean) / self.std


class Lightning(nn.Module):
    """A holder as training frameworks have it: a model, a loss, a step, and a forward that hands on."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.criterion, self.teacher_temperature = model, nn.CrossEntropyLoss(weight=torch.ones(7)), nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.model(x)


class Holder(nn.Module):
    """The same without a forward of its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.net, self.criterion = model, nn.CrossEntropyLoss(weight=torch.ones(7))


OUTER = {
    "normalised": lambda inside: nn.Sequential(Normalise(), inside),
    "by a batch norm": lambda inside: nn.Sequential(nn.BatchNorm2d(3, affine=False).eval(), inside),
    "held": Lightning,
    "held without a forward": Holder,
    "held twice": lambda inside: nn.Sequential(Normalise(), Lightning(nn.Sequential(inside))),
    "in DataParallel": lambda inside: nn.DataParallel(nn.Sequential(Normalise(), inside)),
    "in DataParallel inside": lambda inside: nn.Sequential(Normalise(), nn.DataParallel(inside)),
}


def given(name: str) -> torch.Tensor:
    """What the inner module gets of X."""
    normalised = "held" not in name.replace("held twice", "") and name != "by a batch norm"
    return (X - MEAN) / STD if normalised else X / (1 + 1e-5) ** 0.5 if name == "by a batch norm" else X


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", OUTER)
def test_a_map_of_the_outer_module_is_that_of_the_inner_one(name: str, method: str) -> None:
    inside = vit()
    with torch.random.fork_rng():
        outer = OUTER[name](inside).eval()
    options = {"way": "drop"} if method == "leave_one_out" else {}
    options |= {"baseline": "colour"} if method == "occlusion" else {}
    ours = vizlib.explain(vizlib.wrap(outer), X, method, 2, **options)
    alone = vizlib.explain(vizlib.wrap(inside), given(name), method, 2, **options)
    expected = alone.input_map
    if method == "saliency" and given(name) is not X:
        scale = 1 / STD if name != "by a batch norm" else torch.full((3, 1, 1), (1 + 1e-5) ** -0.5)
        x = given(name)[None].clone().requires_grad_()
        (slope,) = torch.autograd.grad(inside(x)[0, 2], x)
        expected = (slope[0] * scale).abs().amax(0).numpy()
    assert np.allclose(ours.input_map, expected, atol=2e-5 * np.abs(expected).max())
    assert np.abs(expected).max() > 0


def test_the_part_of_another_library_family() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        inside = timm.create_model("resnet10t", num_classes=4).eval()
    outer = nn.Sequential(Normalise(), inside)
    model = vizlib.wrap(outer, input_size=64)
    x = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(3))
    alone = vizlib.explain(vizlib.wrap(inside, input_size=64), (x - MEAN) / STD, "grad_cam", 1)
    assert np.allclose(vizlib.explain(model, x, "grad_cam", 1).input_map, alone.input_map, atol=1e-5 * alone.input_map.max())
    assert model.card.family == "resnet"


@pytest.mark.parametrize(
    "family", ["pvt", "cvt", "t2t_transformer", "t2t_performer", "swin", "cct", "vit_lite", "distilled", "pvt_v2", "resnet"]
)
@pytest.mark.parametrize("windows", ["uniform", "contribution"])
def test_every_family_inside_another_module(family: str, windows: str) -> None:
    alone, x = zoo.model(family), zoo.inputs(family)[0]
    outer = nn.Sequential(Normalise(), alone.module)
    inner = (x - MEAN) / STD
    for residual in (0.5, "norms"):
        options = {"windows": windows, "residual_weight": residual}
        try:
            expected = vizlib.explain(alone, inner, "rollout", **options)
        except vizlib.MethodError as error:
            with pytest.raises(vizlib.MethodError, match=str(error)[:20]):
                vizlib.explain(vizlib.wrap(outer), x, "rollout", **options)
            continue
        ours = vizlib.explain(vizlib.wrap(outer), x, "rollout", **options)
        assert np.allclose(ours.input_map, expected.input_map, atol=1e-8)
        assert ours.sink == pytest.approx(expected.sink, abs=1e-8)


def test_traces_and_answers_are_those_of_the_whole() -> None:
    inside = vit()
    outer = nn.Sequential(Normalise(), inside, nn.Linear(7, 3)).eval()
    model = vizlib.wrap(outer)
    with torch.no_grad():
        logits = outer(X[None])[0]
    trace = vizlib.trace(model, X)
    assert torch.equal(trace.logits, logits)
    assert [site.name for site in trace.attention] == [f"blocks.{index}.attn" for index in range(3)]
    assert model.num_classes == 3
    assert vizlib.predict(model, X)[0].index == int(logits.argmax())


class Own(nn.Module):
    """A backbone without a head, and a head of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.classify = vit(num_classes=0), nn.Linear(24, 5)

    def forward(self, x):
        return self.classify(self.backbone(x))


def test_a_backbone_and_a_head_of_ones_own() -> None:
    outer = Own().eval()
    whole = vit(num_classes=5)
    whole.load_state_dict(outer.backbone.state_dict() | {f"head.{name}": value for name, value in outer.classify.state_dict().items()})
    model = vizlib.wrap(outer)
    assert model.num_classes == 5
    for method in ("rollout", "relevance", "gradient_rollout", "grad_cam", "leave_one_out"):
        ours, expected = (vizlib.explain(one, X, method, 4).input_map for one in (model, vizlib.wrap(whole)))
        assert np.allclose(ours, expected, atol=1e-6 * np.abs(expected).max())
    with pytest.raises(vizlib.MethodError, match="read by more of the model"):
        vizlib.explain(model, X, "legrad", 4)


class Two(nn.Module):
    """Two transformers that vizlib knows: which one is read is not certain."""

    def __init__(self) -> None:
        super().__init__()
        self.student, self.teacher = vit(), vit(depth=2)

    def forward(self, x):
        return self.student(x)


def test_part_names_the_one_to_read_where_there_are_two() -> None:
    outer = Two().eval()
    with pytest.raises(vizlib.MethodError, match=r"student, teacher.*part="):
        vizlib.explain(vizlib.wrap(outer, input_size=32), X, "rollout")
    ours = vizlib.explain(vizlib.wrap(outer, part="student"), X, "rollout").input_map
    assert np.allclose(ours, vizlib.explain(vizlib.wrap(outer.student), X, "rollout").input_map)
    with pytest.raises(vizlib.MethodError, match="teacher runs 0 times"):
        vizlib.explain(vizlib.wrap(outer, part="teacher"), X, "rollout")
    with pytest.raises(vizlib.ModelError, match="no module 'studnet'"):
        vizlib.wrap(outer, part="studnet")


class Moved(nn.Module):
    """What it does to the image before the part moves the pixels."""

    def __init__(self, move) -> None:
        super().__init__()
        self.move, self.inside = move, vit()

    def forward(self, x):
        return self.inside(self.move(x))


@pytest.mark.parametrize("method", ["rollout", "grad_cam", "relevance", "leave_one_out"])
@pytest.mark.parametrize(
    ("move", "why"),
    [(lambda x: x.flip(-1), "moves the pixels"), (lambda x: x.roll(3, 2), "moves the pixels"),
     (lambda x: torch.nn.functional.interpolate(x, size=(32, 32)), "its own input is"), (lambda x: x.transpose(2, 3), "moves the pixels")],
)  # fmt: skip
def test_pixels_that_are_moved_before_the_part_are_refused(move, why: str, method: str) -> None:
    x = torch.rand(3, 64, 64) if "own input" in why else X
    module = Moved(move).eval()
    if "own input" in why:
        module.inside.patch_embed.strict_img_size = False
    with pytest.raises(vizlib.MethodError, match=why):
        vizlib.explain(vizlib.wrap(module, part="inside"), x, method, 1)


class Past(nn.Module):
    """Another branch reads the image past the part."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.other = vit(), nn.Conv2d(3, 7, 32)

    def forward(self, x):
        return self.inside(x) + self.other(x).flatten(1)


class InPieces(nn.Module):
    """Calls the part's methods, not the part."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = vit()

    def forward(self, x):
        return self.inside.forward_features(x)[:, 1]


class Twice(nn.Module):
    """Runs the part on two pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = vit()

    def forward(self, x):
        return self.inside(x) + self.inside(x.flip(-1))


@pytest.mark.parametrize(("kind", "why"), [(Past, "past inside"), (InPieces, "runs 0 times"), (Twice, "runs 2 times")])
@pytest.mark.parametrize("method", ["rollout", "grad_cam", "legrad"])
def test_what_is_not_all_of_the_answer_is_refused(kind, why: str, method: str) -> None:
    model = vizlib.wrap(kind().eval(), part="inside")
    assert method not in model.card.methods
    with pytest.raises(vizlib.MethodError, match=why + ".*adapter='traced'"):
        vizlib.explain(model, X, method, 1)
    vizlib.explain(model, X, "saliency", 1)


class ReadsTheClassToken(nn.Module):
    """Takes what a DINO without classes gives beside its answer: the normed class token of forward_features."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.probe = vit(num_classes=0, class_token=True, reg_tokens=2), nn.Linear(24, 5)

    def forward(self, x):
        return self.probe(self.backbone.forward_features(x)[:, 0])


class ReadsMean(ReadsTheClassToken):
    """The same of the mean of its patches."""

    def forward(self, x):
        return self.probe(self.backbone.forward_features(x)[:, 3:].mean(1))


WHOLE = {
    "class token": ReadsTheClassToken, "mean": ReadsMean, "past": Past, "in pieces": InPieces, "twice": Twice,
    "flipped": lambda: Moved(lambda x: x.flip(-1)), "rolled": lambda: Moved(lambda x: x.roll(3, 2)),
    "turned": lambda: Moved(lambda x: x.transpose(2, 3)),
    "resized": lambda: Moved(lambda x: torch.nn.functional.interpolate(x, size=(32, 32))),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_is_read_where_a_part_is_not_all_of_it(name: str) -> None:
    module, size = filled(WHOLE[name]()), 64 if name == "resized" else 32
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    model = vizlib.wrap(module, input_size=size)
    assert model.card.family == "traced"
    for method, expected in (("rollout", rollout(module, x)), ("relevance", relevance(module, x, 2))):
        maps = torch.stack([torch.as_tensor(each.input_map) for each in vizlib.explain(model, x, method, target=[2, 2])])
        assert float((maps - expected).abs().max()) < 1e-9 * float(expected.max()), method
    if name in ("past", "twice"):  # the answer is not made of what the last block gives alone
        with pytest.raises(vizlib.MethodError):
            vizlib.explain(model, x, "legrad", target=[2, 2])
        return
    maps = torch.stack([torch.as_tensor(each.input_map) for each in vizlib.explain(model, x, "legrad", target=[2, 2], pooling="readout")])
    expected = legrad_by_hand(module, x)
    assert float((maps - expected).abs().max()) < 1e-9 * float(expected.max())


def legrad_by_hand(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """LeGrad (B, h, w) of class 2, the network run on what each block gave in place of what the last one gives."""
    inside = getattr(module, "inside", None) or module.backbone
    blocks = [f"{'inside' if hasattr(module, 'inside') else 'backbone'}.blocks.{index}" for index in range(len(inside.blocks))]
    caught, keys = brute.catch(module, x, states=blocks), []
    for number, block in enumerate(blocks):
        handle = module.get_submodule(blocks[-1]).register_forward_hook(lambda *_, block=block: caught.states[block])
        slope = torch.autograd.grad(module(x)[:, 2].sum(), caught.weights[number], retain_graph=True)[0]
        handle.remove()
        keys.append(slope.clamp_min(0).mean((1, 2)))
    cells, pixels = torch.stack(keys).mean(0), torch.zeros(len(x), 1, *x.shape[2:], dtype=x.dtype, requires_grad=True)
    seen = module.move(pixels) if isinstance(module, Moved) else pixels
    side = inside.patch_embed.grid_size
    chain = brute.without_prefix(side[0] * side[1], inside.num_prefix_tokens) @ brute.patches((32, 32), inside.patch_embed.patch_size)
    return torch.autograd.grad((seen.flatten(1) * (cells @ chain)).sum(), pixels)[0][:, 0]


def test_it_prepares_pictures_as_the_part_does_where_that_is_given_the_input_itself() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    model = vizlib.wrap(ReadsMean().eval())
    assert torch.equal(model.prepare(picture), vizlib.wrap(vit()).prepare(picture))
    colours = Transform(size=(32, 32), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    assert torch.equal(vizlib.wrap(nn.Sequential(Normalise(), ReadsMean()).eval()).prepare(picture), colours.prepare(picture))


class Several(nn.Module):
    """Answers in two ways: by its class token, and by the mean of its patches."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.other = vit(), nn.Linear(24, 7)

    def forward(self, x):
        tokens = self.inside.forward_features(x)
        return {"logits": self.inside.forward_head(tokens), "mean": self.other(tokens[:, 1:].mean(1))}


@pytest.mark.parametrize("outputs", [None, "logits", "mean", lambda output: output["mean"]])
def test_the_output_that_was_chosen_is_the_one_that_is_read(outputs) -> None:
    module = filled(Several())
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    wanted = outputs or "logits"

    class Alone(nn.Module):
        def forward(self, x):
            output = module(x)
            return wanted(output) if callable(wanted) else output[wanted]

    expected = rollout(Alone(), x)
    maps = torch.stack([torch.as_tensor(each.input_map) for each in vizlib.explain(vizlib.wrap(module, outputs=outputs), x, "rollout")])
    assert float((maps - expected).abs().max()) < 1e-9 * float(expected.max())


def test_an_output_that_a_known_family_does_not_answer_by_is_read_of_the_whole() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, image_size=32, patch_size=8
    )
    module = filled(transformers.ViTModel(config, add_pooling_layer=False))
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    class Mean(nn.Module):
        def forward(self, x):
            return module(x).last_hidden_state[:, 1:].mean(1)

    model = vizlib.wrap(module, outputs=lambda output: output.last_hidden_state[:, 1:].mean(1))
    maps = torch.stack([torch.as_tensor(each.input_map) for each in vizlib.explain(model, x, "rollout")])
    expected = rollout(Mean(), x)
    assert float((maps - expected).abs().max()) < 1e-9 * float(expected.max())
    every = vizlib.wrap(module, outputs="last_hidden_state").card
    assert "something else of ViTModel than its own answer; of the whole network, its answer reads" in every.unavailable["rollout"]


def test_pictures_are_prepared_once() -> None:
    inside = vit()
    picture = np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    colours = Transform(size=(32, 32), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    assert torch.equal(
        vizlib.wrap(nn.Sequential(Normalise(), inside)).prepare(picture), vizlib.wrap(inside, transform=colours).prepare(picture)
    )
    assert torch.allclose(vizlib.wrap(Lightning(inside)).prepare(picture), vizlib.wrap(inside).prepare(picture))


def test_the_modules_stay_as_they_are() -> None:
    outer = nn.Sequential(Normalise(), vit()).train()
    before = copy.deepcopy(outer.state_dict())
    model = vizlib.wrap(outer)
    for method in ("rollout", "relevance", "legrad", "grad_cam"):
        vizlib.explain(model, X, method, 1)
    assert all(torch.equal(value, before[name]) for name, value in outer.state_dict().items())
    assert all(part.training and not part._forward_hooks and not part._forward_pre_hooks for part in outer.modules())
