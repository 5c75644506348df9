"""Modules as people hold them, inputs as they come: the map of the plain module, or one sentence that says what to do."""

from __future__ import annotations

import copy
import threading
import warnings

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from odd_cases import INPUTS
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn.utils import parametrizations, prune
from zoo_cases import SMALL

import vizlib
from vizlib.analysis.features.layers import read

X = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
METHODS = ("rollout", "relevance", "legrad", "grad_cam", "saliency", "integrated_gradients", "occlusion", "lime", "leave_one_out")


def vit(**changes) -> VisionTransformer:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return VisionTransformer(**{**SMALL, **changes}).eval()


def explain(module: nn.Module, method: str, x=X) -> vizlib.Explanation:
    return vizlib.explain(vizlib.wrap(module, input_size=32), x, method, 2, **({"samples": 30} if method == "lime" else {}))


def same(ours: vizlib.Explanation, expected: vizlib.Explanation, share: float = 1e-5) -> bool:
    assert np.abs(expected.input_map).max() > 0
    return np.allclose(ours.input_map, expected.input_map, atol=share * np.abs(expected.input_map).max())


def keeps_its_activation() -> nn.Module:
    module = vit()
    module.blocks[0].register_forward_hook(lambda part, inputs, output: setattr(part, "kept", {"last": [output]}))
    module(X[None])
    return module


def with_a_lock() -> nn.Module:
    module = vit()
    module.lock, module.events = threading.Lock(), (number for number in range(3))
    return module


class Tracker:
    """A hook that is an object and cannot be copied."""

    def __init__(self) -> None:
        self.lock, self.calls = threading.Lock(), 0

    def __call__(self, part, inputs, output) -> None:
        self.calls += 1


def with_a_tracker() -> nn.Module:
    module = vit()
    module.norm.register_forward_hook(Tracker())
    return module


def shared() -> nn.Module:
    module = vit()
    module.blocks[2] = module.blocks[0]
    return module


def apart() -> nn.Module:
    module = vit()
    module.blocks[2] = copy.deepcopy(module.blocks[0])
    return module


def pruned(*, training: bool = False) -> nn.Module:
    module = vit()
    prune.l1_unstructured(module.blocks[0].mlp.fc1, "weight", 0.3)
    if training:
        module.train()
        module(X[None])
    return module


def cut() -> nn.Module:
    module = pruned()
    prune.remove(module.blocks[0].mlp.fc1, "weight")
    return module


def weight_normed(norm) -> nn.Module:
    module = vit()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        norm(module.blocks[0].mlp.fc1)
    module(X[None])
    return module


def in_inference_mode() -> nn.Module:
    with torch.inference_mode():
        return vit()


HELD = {
    "keeps an activation": (keeps_its_activation, vit),
    "a lock and a generator": (with_a_lock, vit),
    "a hook that cannot be copied": (with_a_tracker, vit),
    "a block at two places": (shared, apart),
    "pruned": (pruned, cut),
    "pruned, training": (lambda: pruned(training=True), cut),
    "weight norm": (lambda: weight_normed(nn.utils.weight_norm), vit),
    "weight norm, parametrised": (lambda: weight_normed(parametrizations.weight_norm), vit),
    "weights of inference mode": (in_inference_mode, vit),
    "training": (lambda: vit().train(), vit),
    "float64": (lambda: vit().double(), vit),
    "frozen": (lambda: vit().requires_grad_(requires_grad=False), vit),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", HELD)
def test_a_module_as_people_hold_it_has_the_plain_ones_map(name: str, method: str) -> None:
    held, plain = HELD[name]
    module = held()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    assert same(explain(module, method), explain(plain(), method), 1e-4)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("method", METHODS[:6])  # the others take differences of rounded logits
@pytest.mark.parametrize(("dtype", "share"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_half_precision_is_near(dtype: torch.dtype, share: float, method: str) -> None:
    assert same(explain(vit().to(dtype), method), explain(vit(), method), share)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_inputs_of_any_float_dtype(dtype: torch.dtype, method: str) -> None:
    x = X.to(dtype)
    ours = explain(vit(), method, x)
    assert same(ours, explain(vit(), method, x.float()))
    assert ours._repr_png_().startswith(b"\x89PNG")
    (many,) = vizlib.explain(vizlib.wrap(vit()), x[None], "rollout", 2)
    assert same(many, explain(vit(), "rollout", x.float()))
    assert len(vizlib.predict(vizlib.wrap(vit()), x)) == 5
    assert vizlib.trace(vizlib.wrap(vit()), x).logits.shape == (7,)


def test_a_prepared_bfloat16_tensor_is_saved_and_read_again(tmp_path) -> None:
    model = vizlib.load("vit_tiny50", dtype="bfloat16")
    x = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(2)).bfloat16()
    explanation = vizlib.explain(model, x, "rollout", 1)
    again = vizlib.replay(explanation.save(tmp_path / "saved"))
    assert np.array_equal(again.input_map, explanation.input_map)


@pytest.mark.parametrize("method", METHODS)
def test_another_default_device_or_dtype(method: str) -> None:
    expected = explain(vit(), method)
    module = vit()
    torch.set_default_device("meta")
    try:
        ours = explain(module, method)
    finally:
        torch.set_default_device(None)
    assert same(ours, expected)
    torch.set_default_dtype(torch.float64)
    try:
        ours = explain(module, method)
    finally:
        torch.set_default_dtype(torch.float32)
    assert method == "lime" or same(ours, expected)  # random numbers of another precision are others


class InPlace(nn.Module):
    """Normalises the tensor that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = vit()

    def forward(self, x):
        return self.inside(x.sub_(0.5).div_(0.2))


@pytest.mark.parametrize("method", ["rollout", "relevance", "grad_cam", "occlusion", "integrated_gradients"])
def test_an_input_is_not_written_over(method: str) -> None:
    x = X.clone()
    ours = explain(InPlace().eval(), method, x)
    assert torch.equal(x, X)

    class Apart(InPlace):
        def forward(self, x):
            return self.inside((x - 0.5) / 0.2)

    assert same(ours, explain(Apart().eval(), method))


class Odd(nn.Module):
    """A ViT around which something is odd."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.inside, self.answer = vit(), answer

    def forward(self, x):
        return self.answer(self.inside, x)


class TwoArguments(Odd):
    def forward(self, x, mask):
        return self.inside(x)


def fail(inside, x):
    raise KeyError("own")


def mixed() -> nn.Module:
    module = vit()
    module.blocks.bfloat16()
    return module


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.LazyLinear(5)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


def test_lazy_layers_are_run_first() -> None:
    module = Lazy().eval()
    with pytest.raises(vizlib.ModelError, match="run it once"):
        vizlib.wrap(module, input_size=32)
    module(X[None])
    assert vizlib.wrap(module, input_size=32).num_classes == 5


class Checkpointed(nn.Module):
    """Recomputes activations in the way that takes no gradient of an input."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = vit()

    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(self.inside, x, use_reentrant=True)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("method", [*METHODS[1:6], "gradient_shap", "smoothgrad"])
def test_checkpoints_through_which_no_gradient_passes_are_said(method: str) -> None:
    model = vizlib.wrap(Checkpointed().eval(), input_size=32)
    if method in vizlib_methods():
        with pytest.raises(vizlib.MethodError):
            vizlib.explain(model, X, method, 1)
    with pytest.raises(vizlib.MethodError, match="use_reentrant=False"):
        vizlib.explain(model, X, "saliency", 1)


class WithoutGradient(Checkpointed):
    @torch.no_grad()
    def forward(self, x):
        return self.inside(x)


@pytest.mark.parametrize("method", ["relevance", "legrad", "saliency", "integrated_gradients"])
def test_a_module_that_switches_gradients_off_is_named(method: str) -> None:
    with pytest.raises(vizlib.VizlibError, match="does not run under no_grad"):
        explain(WithoutGradient().eval(), method)
    for other in ("occlusion", "grad_cam"):  # a pass whose graph begins at a layer switches them on there
        assert same(explain(WithoutGradient().eval(), other), explain(vit(), other))


def test_a_forward_that_is_set_on_the_instance_is_traced_without_tokens() -> None:
    module = vit()
    own = module.forward
    module.forward = lambda x: own(x)
    trace = vizlib.trace(vizlib.wrap(module), X)
    assert trace.logits.shape == (7,)
    assert "set on the instance" in trace.unreadable
    assert not trace.attention
    with pytest.raises(vizlib.MethodError, match="as a part"):
        read(vizlib.wrap(module), X[None])


def test_a_training_module_whose_forward_is_set_on_the_instance_is_not_run_as_in_training() -> None:
    module = vit(proj_drop_rate=0.5, attn_drop_rate=0.5).train()
    own = module.forward
    module.forward = lambda x: own(x)
    with pytest.raises(vizlib.ModelError, match=r"call eval\(\) first"):
        vizlib.predict(vizlib.wrap(module), X)
    with pytest.raises(vizlib.ModelError, match=r"call eval\(\) first"):
        explain(module, "occlusion")
    module.eval()
    expected = vizlib.predict(vizlib.wrap(vit()), X)
    assert vizlib.predict(vizlib.wrap(module), X) == expected


def test_what_an_answer_holds_is_listed() -> None:
    class Answers(Checkpointed):
        def forward(self, x):
            return {"aux": self.inside(x), "main": self.inside(x)}

    with pytest.raises(vizlib.ModelError, match=r"a dict \(aux, main\) where"):
        vizlib.predict(vizlib.wrap(Answers().eval(), input_size=32), X)
    assert len(vizlib.predict(vizlib.wrap(Answers().eval(), input_size=32, outputs="main"), X)) == 5


def parametrised(register) -> nn.Module:
    module = vit()
    register(module.blocks[0].attn.qkv, "weight")
    register(module.head, "weight")
    return module


class Same(nn.Module):
    def forward(self, weight):
        return weight * 1.0


@pytest.mark.parametrize("method", METHODS)
def test_parametrised_weights_have_the_plain_ones_map(method: str) -> None:
    module = parametrised(lambda part, name: nn.utils.parametrize.register_parametrization(part, name, Same()))
    assert same(explain(module, method), explain(vit(), method), 1e-4)


@pytest.mark.parametrize("method", METHODS[:8])
def test_spectral_norm_has_the_map_of_the_weights_that_it_gives(method: str) -> None:
    module = parametrised(parametrizations.spectral_norm).eval()
    plain = vit()
    with torch.no_grad():
        plain.blocks[0].attn.qkv.weight.copy_(module.blocks[0].attn.qkv.weight)
        plain.head.weight.copy_(module.head.weight)
    assert same(explain(module, method), explain(plain, method), 1e-4)


BROKEN = {
    "raises": lambda: Odd(fail),
    "two arguments": lambda: TwoArguments(None),
    "gives nothing": lambda: Odd(lambda inside, x: None),
    "gives no class": lambda: Odd(lambda inside, x: inside(x)[:, :0]),
    "gives a number": lambda: Odd(lambda inside, x: 3.0),
    "gives complex numbers": lambda: Odd(lambda inside, x: torch.complex(inside(x), inside(x))),
    "gives one row for all": lambda: Odd(lambda inside, x: inside(x).mean(0, keepdim=True).expand(3, -1)),
    "gives NaN": lambda: Odd(lambda inside, x: inside(x) * float("nan")),
    "meta": lambda: vit().to("meta"),
    "mixed precision": lambda: mixed(),
    "a list": lambda: nn.ModuleList([vit()]),
    "empty": lambda: nn.Sequential(),
    "identity": lambda: nn.Identity(),
    "a linear layer": lambda: nn.Linear(32, 3),
    "text": lambda: nn.Embedding(10, 4),
    "four channels": lambda: vit(in_chans=4),
    "a wrong size": lambda: vit(img_size=48),
    "an LSTM": lambda: nn.LSTM(32, 8),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_one_sentence(name: str) -> None:
    module = BROKEN[name]().eval()
    model = vizlib.wrap(module, input_size=32)
    calls = [lambda method=method: vizlib.explain(model, X, method, 1) for method in vizlib_methods()]
    calls += [lambda: vizlib.predict(model, X), lambda: vizlib.trace(model, X), lambda: model(X[None])]
    calls += [
        lambda: vizlib.explain(model, np.zeros((40, 40, 3), np.uint8), "saliency", 1),
        lambda: vizlib.predict(model, np.zeros((9, 9, 3), np.uint8)),
    ]
    sentences = [sentence for call in calls if (sentence := refusal(call)) is not None]
    assert len(sentences) > 5
    assert all("\n" not in sentence and len(sentence) < 400 for sentence in sentences)


def refusal(call) -> str | None:
    """What a call says when it is refused; any other error fails the test."""
    try:
        call()
    except vizlib.VizlibError as error:
        return str(error)
    return None


def vizlib_methods() -> list[str]:
    return [card.name for card in vizlib.methods()]


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_that_are_none(name: str) -> None:
    model = vizlib.wrap(vit(), input_size=32)
    for call in (
        *(lambda method=method: vizlib.explain(model, INPUTS[name], method, 1) for method in vizlib_methods()),
        lambda: vizlib.predict(model, INPUTS[name]),
        lambda: vizlib.trace(model, INPUTS[name]),
    ):
        with pytest.raises(vizlib.VizlibError):
            call()


TARGETS = [1.5, "7", -1, 7, 10**30, (1, 2, 3), (1,), (), [1, 2], [], {"a": 1}, torch.tensor(1.0), torch.tensor([1, 2]), b"1",
           (1, None),
           lambda logits: None, lambda logits: logits, lambda logits: logits.detach().sum(1), lambda logits: 3.0,
           float("nan"), np.array([[1]]),
           lambda logits: logits.argmax(1), True, object()]  # fmt: skip


@pytest.mark.parametrize("number", range(len(TARGETS)))
@pytest.mark.parametrize("method", METHODS)
def test_targets_that_are_none(number: int, method: str) -> None:
    options = {"samples": 20} if method == "lime" else {}
    sentence = refusal(lambda: vizlib.explain(vizlib.wrap(vit()), X, method, TARGETS[number], **options))
    assert "\n" not in (sentence or "")


def test_what_a_hook_of_the_users_raises_comes_through() -> None:
    class OwnError(Exception):
        pass

    def fail_in_hook(part, inputs, output):
        raise OwnError("mine")

    for error in (OwnError, RuntimeError):
        module = vit()
        module.blocks[1].register_forward_hook(fail_in_hook if error is OwnError else lambda part, inputs, output: output.view(-1, 7, 11))
        with pytest.raises(error):
            explain(module, "rollout")
        with pytest.raises(error):
            explain(module, "saliency")
