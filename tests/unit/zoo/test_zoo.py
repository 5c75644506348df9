"""Loading, wrapping, labels, targets, refusals: what a person meets before a map."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from timm.layers.diff_attention import DiffAttention
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import vizlib


@pytest.fixture(scope="module")
def deit() -> vizlib.Model:
    return vizlib.load("deit_tiny_patch16_224.fb_in1k", checkpoint="random")


def photograph(height: int = 60, width: int = 90) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_cards_and_methods_cost_no_torch() -> None:
    code = "import sys, vizlib; vizlib.models(); vizlib.methods(); assert 'torch' not in sys.modules and 'timm' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_card_names_its_methods_and_why_the_others_do_not_fit() -> None:
    names = {method.name for method in vizlib.methods()}
    for card in vizlib.models():
        assert set(card.methods) | set(card.unavailable) == names
        assert card.methods
        assert all(reason for reason in card.unavailable.values())


def test_static_cards_agree_with_the_loaded_models(deit: vizlib.Model) -> None:
    card = next(card for card in vizlib.models() if card.name == deit.card.name)
    assert card.parameters == deit.card.parameters
    assert card.input_size == deit.transform.size
    assert set(card.methods) == set(deit.card.methods)
    assert len(deit.labels) == 1000


def test_random_weights_are_the_same_everywhere_and_move_no_generator() -> None:
    before = torch.random.get_rng_state()
    first, second = (vizlib.load("resnet_tiny50", checkpoint="random") for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for one, other in zip(first.module.state_dict().values(), second.module.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "answer"), [("runs/Best.PTH", "file of weights.*NAME=runs/Best.PTH"), ("facebook/deit-tiny", "no such folder.*hf:owner/name")]
)
def test_a_file_or_a_place_in_the_stead_of_a_name_is_told_what_to_do(name: str, answer: str) -> None:
    with pytest.raises(vizlib.ModelError, match=answer):
        vizlib.load(name)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(vizlib.ModelError, match="vit_tiny50"):
        vizlib.load("vit_tiny5O")


def test_a_checkpoint_says_how_many_classes_and_must_fit(tmp_path) -> None:
    from safetensors.torch import save_file

    module = vizlib.load("vit_tiny50", checkpoint="random", num_classes=4).module
    state = {key: value.half() for key, value in module.state_dict().items()}
    save_file(state, tmp_path / "four.safetensors")
    model = vizlib.load("vit_tiny50", checkpoint=tmp_path / "four.safetensors", labels=["a", "b", "c", "d"])
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 4)
    assert model.dtype == torch.float32
    assert vizlib.explain(model, photograph(), target="c").target == 2
    with pytest.raises(vizlib.CheckpointError, match="of another shape"):
        vizlib.load("vit_tiny50", checkpoint=tmp_path / "four.safetensors", num_classes=5)
    with pytest.raises(vizlib.ModelError, match="3 labels"):
        vizlib.load("vit_tiny50", checkpoint=tmp_path / "four.safetensors", labels=["a", "b", "c"])
    state.pop("norm.weight")
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(vizlib.CheckpointError, match=r"norm\.weight"):
        vizlib.load("vit_tiny50", checkpoint=tmp_path / "less.safetensors")


def test_another_input_size() -> None:
    model = vizlib.load("vit_tiny50", checkpoint="random", image_size=(64, 96))
    explained = vizlib.explain(model, photograph())
    assert explained.input_map.shape == (64, 96)
    with pytest.raises(vizlib.ModelError, match="64 x 96"):
        vizlib.explain(model, torch.zeros(3, 64, 64))


def test_targets(deit: vizlib.Model) -> None:
    image = photograph()
    assert vizlib.explain(deit, image, target="tabby").target == deit.labels.index("tabby, tabby cat")
    assert vizlib.explain(deit, image, target=("tabby", 3)).target == (281, 3)
    assert vizlib.explain(deit, image, target=np.int64(7)).target == 7
    top = vizlib.predict(deit, image, top=3)
    assert top[0].index == vizlib.explain(deit, image).target
    assert top[0].probability >= top[1].probability >= top[2].probability
    with pytest.raises(vizlib.TargetError, match="tabby"):
        vizlib.explain(deit, image, target="tabbi")
    with pytest.raises(vizlib.TargetError, match="999"):
        vizlib.explain(deit, image, target=1000)
    with pytest.raises(vizlib.TargetError, match="pair"):
        vizlib.explain(deit, image, target=(1, 2, 3))
    with pytest.raises(vizlib.TargetError):
        vizlib.explain(deit, image, target=1.5)


def test_options_and_methods_are_checked_with_the_nearest_names(deit: vizlib.Model) -> None:
    image = photograph()
    for options, words in (
        ({"head_fusoin": "max"}, "head_fusion"),
        ({"head_fusion": "median"}, "mean, max, min"),
        ({"residual_weight": 1.5}, "0.0 to 1.0"),
        ({"residual_weight": float("nan")}, "number"),
        ({"discard_ratio": "much"}, "number"),
    ):
        with pytest.raises(vizlib.MethodError, match=words):
            vizlib.explain(deit, image, **options)
    with pytest.raises(vizlib.MethodError, match="rollout"):
        vizlib.explain(deit, image, "rolout")
    with pytest.raises(vizlib.MethodError, match="attentions 0 to 11"):
        vizlib.explain(deit, image, "attention", layer=12)
    with pytest.raises(vizlib.MethodError, match="heads 0 to 2"):
        vizlib.explain(deit, image, "attention", head=3)
    with pytest.raises(vizlib.MethodError, match="ReLU"):
        vizlib.explain(deit, image, "guided_backprop")


def test_a_model_without_a_head() -> None:
    module = VisionTransformer(**{**zoo.SMALL, "num_classes": 0})
    model = vizlib.wrap(module)
    explained = vizlib.explain(model, photograph())
    assert explained.target is None
    assert abs(explained.input_map.sum() + explained.sink - 1) < 1e-9
    assert "no classification head" in model.card.unavailable["grad_cam"]
    with pytest.raises(vizlib.TargetError, match="no classification head"):
        vizlib.predict(model, photograph())
    with pytest.raises(vizlib.TargetError, match="no classes"):
        vizlib.explain(model, photograph(), target=0)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: VisionTransformer(**zoo.SMALL, attn_layer=DiffAttention), "DiffAttention"),
        (lambda: VisionTransformer(**zoo.SMALL, global_pool="max"), "'max'"),
        (lambda: VisionTransformer(**zoo.SMALL, global_pool=""), "no read-out"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused_with_the_reason(build, words: str) -> None:
    model = vizlib.wrap(build())
    assert words in model.card.unavailable["rollout"]
    with pytest.raises(vizlib.MethodError, match=words.replace("'", ".")):
        vizlib.explain(model, torch.zeros(1, 3, 32, 32))


def test_attention_that_hides_is_counted_and_refused() -> None:
    module = VisionTransformer(**zoo.SMALL)

    class Hidden(type(module.blocks[1].attn)):
        def forward(self, x: torch.Tensor, **_: object) -> torch.Tensor:
            return self.proj(x)

    module.blocks[1].attn.__class__ = Hidden
    with pytest.raises(vizlib.MethodError, match=r"2 attentions .* has 3"):
        vizlib.explain(vizlib.wrap(module), torch.zeros(3, 32, 32))


def test_modules_of_ones_own() -> None:
    class Plain(nn.Sequential):
        pass

    module = Plain(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    model = vizlib.wrap(module, input_size=20, labels=list("abcde"))
    assert len(vizlib.predict(model, photograph(), top=9)) == 5
    assert "saliency" in model.card.methods
    assert "rollout" not in model.card.methods
    with pytest.raises(vizlib.MethodError, match="Plain"):
        vizlib.explain(model, photograph())
    with pytest.raises(vizlib.ModelError, match="input_size"):
        vizlib.predict(vizlib.wrap(module), photograph())
    with pytest.raises(vizlib.ModelError, match="torch module"):
        vizlib.wrap("vit_tiny50")
    with pytest.raises(vizlib.ModelError, match="does not read"):
        vizlib.wrap(module, adapter="vit")


def test_torchvisions_resnets_wrap() -> None:
    from torchvision.models import resnet18

    model = vizlib.wrap(resnet18().eval(), input_size=64)
    assert model.card.methods[0] == "grad_cam"
    assert not {"rollout", "leave_one_out"} & set(model.card.methods)
    assert vizlib.explain(model, photograph(), "grad_cam").input_map.shape == (64, 64)


def test_grad_cam_equals_its_formula() -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")
    kept: dict[str, torch.Tensor] = {}
    handle = model.module.layer4.register_forward_hook(lambda _, __, output: kept.update(a=output))
    logits = model.module(x)
    handle.remove()
    gradient = torch.autograd.grad(logits[0, 3], kept["a"])[0]
    cam = (gradient.mean((2, 3), keepdim=True) * kept["a"]).sum(1, keepdim=True).relu()
    expected = torch.nn.functional.interpolate(cam.double(), size=x.shape[2:], mode="bilinear")[0, 0]
    found = vizlib.explain(model, x[0], "grad_cam", target=3).input_map
    assert np.allclose(found, expected.detach().numpy(), atol=1e-6 * max(1.0, float(expected.detach().max())))
    assert found.max() > 0


def test_what_was_cropped_away_is_not_seen() -> None:
    model = zoo.model("token")
    explained = vizlib.explain(model, photograph(60, 200))
    assert explained.map.shape == (60, 200)
    assert not explained.seen[:, 0].any()
    assert np.isnan(explained.map[~explained.seen]).all()
    assert np.isfinite(explained.map[explained.seen]).all()
    whole = vizlib.explain(model, photograph(60, 200), fit="squash")
    assert whole.seen.all()


@pytest.mark.parametrize("method", ["rollout", "attention"])
def test_saved_and_replayed_it_is_the_same_bytes(tmp_path, method: str) -> None:
    model = vizlib.load("vit_tiny50", checkpoint="random")
    explained = vizlib.explain(model, photograph(), method, target=3)
    again = vizlib.replay(explained.save(tmp_path / "one"))
    assert again.input_map.tobytes() == explained.input_map.tobytes()
    assert (again.target, again.options, again.sink) == (3, explained.options, explained.sink)
    arrays = np.load(tmp_path / "one" / "map.npz")
    assert np.array_equal(arrays["input_map"], explained.input_map)
    assert (tmp_path / "one" / "map.png").read_bytes() == explained._repr_png_()


def test_a_prepared_tensor_is_replayed_too(tmp_path) -> None:
    model = vizlib.load("vit_tiny50", checkpoint="random")
    explained = vizlib.explain(model, torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert vizlib.replay(explained.save(tmp_path)).input_map.tobytes() == explained.input_map.tobytes()


def test_what_cannot_be_replayed_says_so(tmp_path) -> None:
    live = vizlib.explain(zoo.model("token"), zoo.inputs("token")[0])
    live.save(tmp_path / "live")
    assert json.loads((tmp_path / "live" / "explanation.json").read_text(encoding="utf-8"))["replayable"] is False
    with pytest.raises(vizlib.ModelError, match="live module"):
        vizlib.replay(tmp_path / "live")
    with pytest.raises(vizlib.VizlibError, match=r"explanation\.json"):
        vizlib.replay(tmp_path)
    model = vizlib.load("vit_tiny50", checkpoint="random")
    vizlib.explain(model, photograph(), target=lambda logits: logits[:, 0]).save(tmp_path / "function")
    with pytest.raises(vizlib.ModelError, match="function"):
        vizlib.replay(tmp_path / "function")


def test_bad_tensors_and_lists_are_refused() -> None:
    model = zoo.model("token")
    for bad in (torch.zeros(2, 32, 32), torch.zeros(1, 1, 32, 32), torch.full((1, 3, 32, 32), torch.nan), []):
        with pytest.raises(vizlib.ImageError):
            vizlib.explain(model, bad)
    with pytest.raises(vizlib.ModelError, match="32 x 32"):
        vizlib.explain(model, torch.zeros(3, 40, 32))


def test_nan_is_reported_with_the_part_where_it_first_appears() -> None:
    module = VisionTransformer(**zoo.SMALL)
    with torch.no_grad():
        module.blocks[1].mlp.fc1.weight[0, 0] = torch.nan
    with pytest.raises(vizlib.ModelError, match=r"first in blocks\.1\.mlp\.fc1: its weights hold them"):
        vizlib.explain(vizlib.wrap(module), torch.zeros(3, 32, 32))
    convolution = zoo.ALL["resnet"]().eval()
    with torch.no_grad():
        convolution.layer2[0].bn1.weight[0] = torch.inf
    with pytest.raises(vizlib.ModelError, match=r"layer2\.0\.bn1"):
        vizlib.explain(vizlib.wrap(convolution), zoo.inputs("resnet")[0], "grad_cam")


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(vizlib.DeviceError):
        vizlib.load("vit_tiny50", checkpoint="random", device="warp")
    if not torch.cuda.is_available():
        with pytest.raises(vizlib.DeviceError, match="cpu"):
            vizlib.load("vit_tiny50", checkpoint="random", device="cuda")


def test_weights_follow_to_another_input_size(tmp_path) -> None:
    from safetensors.torch import save_file

    state = vizlib.load("vit_tiny50", checkpoint="random").module.state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "w.safetensors")
    wide = vizlib.load("vit_tiny50", checkpoint=tmp_path / "w.safetensors", image_size=(64, 128))
    assert wide.module.pos_embed.shape == (1, 1 + 8 * 16, 192)
    assert torch.equal(wide.module.norm.weight, state["norm.weight"])


def test_a_whole_number_is_not_nan() -> None:
    with pytest.raises(vizlib.MethodError, match="number"):
        vizlib.explain(zoo.model("token"), zoo.inputs("token"), "attention", layer=float("nan"))
