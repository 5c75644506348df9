"""Looks in a plain training loop: what they hold, that the training is the same bits without them, and that nothing ends it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import vizlib
from vizlib.callbacks import Folder, Look, Watch, read_looks
from vizlib.callbacks.folder import file_name
from vizlib.callbacks.look import as_evaluated, take_look
from vizlib.errors import MethodError, TrainingError, VizlibError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 32


class Kept:
    """A tracker that keeps what it gets."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.closed = 0

    def write(self, look: Look) -> None:
        self.looks.append(look)

    def close(self) -> None:
        self.closed += 1


def network(drop: float = 0.1) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VisionTransformer(
            img_size=SIZE, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=4, drop_rate=drop, drop_path_rate=drop
        )


class WithNorm(nn.Module):
    """A convolution, batch norm and dropout: parts whose mode matters, and buffers that training moves."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, 4)
        self.norm, self.drop = nn.BatchNorm2d(8), nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(F.relu(self.norm(self.conv(x))).mean((2, 3))))


def pictures(count: int = 2) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {f"picture {number}": generator.integers(0, 256, (40, 30, 3), dtype=np.uint8) for number in range(count)}


def run(module: nn.Module, steps: int, watch: Any = None) -> dict[str, torch.Tensor]:
    """A short training with everything that could be disturbed: dropout, momentum, gradients gathered over two batches."""
    torch.manual_seed(1)
    module.train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-2)
    for step in range(steps):
        x, y = torch.randn(4, 3, SIZE, SIZE), torch.randint(4, (4,))
        F.cross_entropy(module(x), y).backward()
        if step % 2:
            optimiser.step()
            optimiser.zero_grad()
        if watch is not None:
            watch(step)
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state |= {f"grad {name}": tensor.grad.clone() for name, tensor in module.named_parameters() if tensor.grad is not None}
    return state | {"generator": torch.random.get_rng_state()}


@pytest.mark.parametrize(("make", "methods"), [(network, ("rollout", "relevance", "saliency")), (WithNorm, ("grad_cam", "saliency"))])
def test_a_training_is_the_same_bits_with_looks(make: Any, methods: tuple[str, ...], tmp_path: Path) -> None:
    plain = run(make(), 5)
    module = make()
    watch = Watch(module, pictures(), to=[Kept(), Folder(tmp_path)], every=1, methods=methods, share=None, input_size=SIZE)
    watched = run(module, 5, watch)
    assert watch.looks == 5
    assert plain.keys() == watched.keys()
    for name, tensor in plain.items():
        assert torch.equal(tensor, watched[name]), name
    assert all(part.training for part in module.modules())
    assert not [part for part in module.modules() if part._forward_hooks or part._backward_hooks]


def test_a_look_is_of_the_model_evaluated_as_vizlib_sees_it() -> None:
    module, kept = network(0.5).train(), Kept()
    Watch(module, pictures(), to=kept, share=None, input_size=SIZE)(0)
    (look,) = kept.looks
    model = vizlib.wrap(network(0.5).eval(), input_size=SIZE)
    for name, image in pictures().items():
        expected: Any = vizlib.explain(model, image, "rollout")
        np.testing.assert_array_equal(look.maps[name, "rollout"].input_map, expected.input_map)
        assert [answer.index for answer in look.answers[name]] == [answer.index for answer in vizlib.predict(model, image, 3)]
    traced: Any = [vizlib.trace(model, image) for image in pictures().values()]
    site = traced[0].attention[1]
    entropies = []
    for found in traced:
        weights = found.attention[1].weights()[:, 1:].double().numpy()  # (heads, patches, keys)
        entropies.append(-(weights * np.log2(weights)).sum(-1).mean(-1))
    np.testing.assert_allclose(look.heads[site.name]["entropy"], np.mean(entropies, axis=0), rtol=1e-5)
    assert look.scalars()[f"heads/{site.name}/entropy"] == pytest.approx(np.mean(entropies), rel=1e-5)


def test_modes_come_back_one_by_one() -> None:
    module = WithNorm().train()
    module.norm.eval()  # frozen, as in fine-tuning

    def stop_inside() -> None:
        with as_evaluated(module):
            assert not any(part.training for part in module.modules())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop_inside()
    assert module.training
    assert module.drop.training
    assert not module.norm.training


def test_steps_that_are_looked_at() -> None:
    kept = Kept()
    watch = Watch(network(), pictures(1), to=kept, every=4, share=None, input_size=SIZE)
    for step in (3, 4, 4, 5, 8, 11):  # a resumed training begins where it begins; a step may come twice
        watch(step)
    watch.close(11)
    watch.close(11)
    assert [look.step for look in kept.looks] == [3, 4, 8, 11]
    assert kept.closed == 2


def test_looks_are_put_off_while_they_take_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0}
    monkeypatch.setattr("vizlib.callbacks.watch.time.monotonic", lambda: clock["now"])

    def slow_look(*_: Any, **__: Any) -> str:
        clock["now"] += 1.0
        return "look"

    monkeypatch.setattr("vizlib.callbacks.watch.take_look", slow_look)
    watch = Watch(network(), pictures(1), to=Kept(), every=10, share=0.02, input_size=SIZE)
    seen = []
    for step in range(1001):
        if watch(step) is not None:
            seen.append((step, clock["now"]))
        clock["now"] += 0.1
    # A second each: the second one when fifty have passed, the third when a hundred have.
    assert [step for step, _ in seen] == [0, 490, 981]
    assert [seconds for _, seconds in seen] == pytest.approx([1.0, 51.0, 101.1])
    assert watch.put_off == 48 + 48 + 1  # 20 to 490, 510 to 980, and 1000


def test_the_first_look_says_what_is_wrong_and_later_ones_warn() -> None:
    class Full(Kept):
        def write(self, look: Look) -> None:
            super().write(look)
            if look.step:
                raise OSError("no space left")

    watch = Watch(network(), pictures(1), to=Full(), every=1, share=None, input_size=SIZE)
    assert watch(0) is not None
    with pytest.warns(UserWarning, match="The look at step 1 failed, and the training goes on: no space left"):
        assert watch(1) is None
    broken = Watch(network(), {"broken": "nowhere.jpg"}, to=Kept(), input_size=SIZE)
    with pytest.raises(vizlib.ImageError):
        broken(0)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"every": 0}, TrainingError, "every 0 steps"),
        ({"share": 0.0}, TrainingError, "take 0 of the time"),
        ({"methods": ["rolout"]}, MethodError, "rollout"),
        ({"methods": ["deeplift"]}, MethodError, "does not fit this model"),
        ({"pictures": []}, TrainingError, "no picture"),
        ({"pictures": ["a/cat.jpg", "b/cat.jpg"]}, TrainingError, "Two pictures are called 'cat'"),
    ],
)
def test_what_cannot_be_is_said_when_it_is_made(given: dict[str, Any], error: type[VizlibError], words: str) -> None:
    arguments = {"to": Kept(), "input_size": SIZE, "pictures": pictures(1)} | given
    with pytest.raises(error, match=words):
        Watch(network(), arguments.pop("pictures"), **arguments)


def test_a_convolutional_network_is_watched_by_grad_cam() -> None:
    kept = Kept()
    watch = Watch(WithNorm(), pictures(1), to=kept, input_size=SIZE)
    watch(0)
    assert watch.methods == ("grad_cam",)
    assert not kept.looks[0].heads


def test_a_folder_holds_what_was_seen(tmp_path: Path) -> None:
    module = network()
    watch = Watch(module, pictures(), to=Folder(tmp_path / "looks"), every=5, methods=["rollout", "legrad"], share=None, input_size=SIZE)
    look = watch(0)
    watch(5)
    (tmp_path / "looks" / "step-00000007").mkdir()  # cut off before it was whole
    read = read_looks(tmp_path / "looks")
    assert [entry["step"] for entry in read] == [0, 5]
    assert look is not None
    assert read[0]["numbers"] == pytest.approx(look.scalars())
    with np.load(tmp_path / "looks" / "step-00000000" / "arrays.npz") as arrays:
        np.testing.assert_array_equal(arrays["map/picture 1/legrad"], look.maps["picture 1", "legrad"].input_map.astype(np.float32))
    picture = Image.open(tmp_path / "looks" / "step-00000000" / read[0]["files"]["picture 0"]["rollout"])
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), look.maps["picture 0", "rollout"].picture())
    before = {path.name: path.read_bytes() for path in (tmp_path / "looks" / "step-00000005").iterdir()}
    watch.look(5)  # the same step again, as after a resume
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "looks" / "step-00000005").iterdir()}
    assert json.loads(before["look.json"])["answers"].keys() == pictures().keys()
    with pytest.raises(TrainingError, match="holds no looks"):
        read_looks(tmp_path)


def test_names_become_file_names() -> None:
    assert file_name("../a b/ü:*.png") == "a_b_ü_.png"
    assert file_name("///") == "picture"


def test_prepared_tensors_are_looked_at_too() -> None:
    look = take_look(vizlib.wrap(network()), {"tensor": torch.randn(3, SIZE, SIZE)}, ["rollout"], 3)
    assert look.maps["tensor", "rollout"].input_map.shape == (SIZE, SIZE)
    assert look.heads
