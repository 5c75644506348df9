"""Checkpoints in the wrappings that training scripts and other releases leave them in: read, or refused with what is in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

import vizlib
from vizlib.zoo.weights import fill_random

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

State = dict[str, torch.Tensor]
NAME = "vit_tiny50"
X = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def network(classes: int = 3) -> nn.Module:
    return vizlib.load(NAME, checkpoint="random", num_classes=classes).module


def weights(classes: int = 3) -> State:
    return {key: value + 0.01 for key, value in network(classes).state_dict().items()}


def under(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def other(state: State) -> State:
    return {key: value + 1 for key, value in state.items()}


WRAPPED: dict[str, Callable[[State], dict[str, Any]]] = {
    "Lightning, self.model": lambda state: {"state_dict": under("model.", state), "epoch": 3, "hyper_parameters": {"lr": 0.1}, "loops": {}},
    "Lightning, self.net": lambda state: {"state_dict": under("net.", state), "pytorch-lightning_version": "2.1"},
    "Lightning, compiled": lambda state: {"state_dict": under("model._orig_mod.", state)},
    "Lightning, with losses and measures": lambda state: {
        "state_dict": under("model.", state)
        | {"criterion.weight": torch.ones(3), "train_acc.correct": torch.tensor(3), "val_f1.tp": torch.ones(1)}
    },
    "Lightning, with averaged weights": lambda state: {"state_dict": under("model.", other(state)) | under("ema_model.module.", state)},
    "model_state_dict": lambda state: {"model_state_dict": state, "optimizer_state_dict": {"state": {}}, "epoch": 4, "loss": 0.3},
    "model_state": lambda state: {"model_state": under("module.", state), "optimizer_state": {}},
    "teacher": lambda state: {"student": other(under("module.", state)), "teacher": state, "epoch": 100},
    "student": lambda state: {"student": under("module.", state), "optimizer": {}},
    "teacher in a module": lambda state: {"state_dict": under("teacher.", state) | under("student.", other(state))},
    "ema": lambda state: {"ema": state, "model": other(state)},
    "ema in a module": lambda state: {"ema": {"module": state, "decay": 0.99}, "model": other(state)},
    "averaged parameters without names": lambda state: {"ema": {"shadow_params": [torch.ones(3)], "decay": 0.9}, "model": state},
    "state_dict_ema": lambda state: {"state_dict_ema": under("module.", state), "state_dict": other(state)},
    "AveragedModel": lambda state: under("module.", state) | {"n_averaged": torch.tensor(7)},
    "module": lambda state: under("module.", state),
    "DeepSpeed": lambda state: {"module": state, "global_steps": 5},
    "transformers' TimmWrapper": lambda state: under("timm_model.", state),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_wrapped_weights_are_those_inside(kind: str, tmp_path: Path) -> None:
    state = weights()
    torch.save(WRAPPED[kind](state), tmp_path / "weights.ckpt")
    model = vizlib.load(NAME, checkpoint=tmp_path / "weights.ckpt")
    plain = network()
    plain.load_state_dict(state)
    assert torch.equal(model(X), plain(X))


def test_a_self_distilled_backbone_is_one_without_a_head(tmp_path: Path) -> None:
    state = dict(timm.create_model("vit_tiny_patch16_224", num_classes=0).state_dict().items())
    projection = {"head.mlp.0.weight": torch.ones(8, 192), "head.last_layer.weight_g": torch.ones(9, 1)}
    torch.save({"teacher": under("backbone.", state) | projection, "student": {}}, tmp_path / "dino.pth")
    model = vizlib.load("vit_tiny_patch16_224", checkpoint=tmp_path / "dino.pth")
    assert model.num_classes == 0
    assert all(torch.equal(value, state[key]) for key, value in model.module.state_dict().items())


APART: dict[str, Callable[[State, State], dict[str, Any]]] = {
    "backbone and classifier": lambda rest, head: under("backbone.", rest) | under("classifier.", head),
    "inside a sequence": lambda rest, head: under("backbone.", rest) | under("classifier.1.", head),
    "Lightning": lambda rest, head: {
        "state_dict": under("net.backbone.", rest) | under("net.fc.", head) | {"val_acc.total": torch.ones(1)}
    },
    "wrapped inside": lambda rest, head: {"state_dict": under("encoder.model.", rest) | under("linear.", head)},
}


@pytest.mark.parametrize("kind", APART)
@pytest.mark.parametrize(
    ("name", "head"), [(NAME, "head"), ("resnet10t", "fc"), ("vit_tiny_patch16_224", "head"), ("cct_tiny50", "classifier.fc")]
)
def test_a_backbone_and_a_head_apart_are_one_network(kind: str, name: str, head: str, tmp_path: Path) -> None:
    module = vizlib.load(name, checkpoint="random", num_classes=3).module
    state = {key: value + value.is_floating_point() / 100 for key, value in module.state_dict().items()}
    parts = [
        {key.removeprefix(f"{head}."): value for key, value in state.items() if key.startswith(f"{head}.") == inside} for inside in (0, 1)
    ]
    torch.save(APART[kind](*parts), tmp_path / "weights.ckpt")
    model = vizlib.load(name, checkpoint=tmp_path / "weights.ckpt")
    assert model.num_classes == 3
    assert all(torch.equal(value, state[key]) for key, value in model.module.state_dict().items())


REFUSED: dict[str, tuple[Callable[[State], Any], str]] = {
    "an optimizer only": (lambda state: {"optimizer": {"state": {}}, "epoch": 3}, r"no tensors by name, but optimizer, epoch"),
    "a list": (lambda state: list(state.values()), "but a list"),
    "nothing": (lambda state: {}, "nothing else"),
    "a head beside the network": (
        lambda state: {"state_dict": under("model.", state) | {"classifier.weight": torch.ones(3, 192)}},
        r"tensors \(\d+ in model, 1 in classifier\)",
    ),
    "a segmentation network": (
        lambda state: {"state_dict": under("backbone.", state) | {"decode_head.conv.weight": torch.ones(3, 192)}},
        r"in backbone, 1 in decode_head\)",
    ),
    "a head of another width": (
        lambda state: (
            under("backbone.", {key: value for key, value in state.items() if not key.startswith("head.")})
            | {"classifier.weight": torch.ones(3, 77), "classifier.bias": torch.ones(3)}
        ),
        r"in backbone, 2 in classifier\)",
    ),
    "a head of two layers": (
        lambda state: (
            under("backbone.", {key: value for key, value in state.items() if not key.startswith("head.")})
            | under("classifier.", nn.Sequential(nn.Linear(192, 9), nn.ReLU(), nn.Linear(9, 3)).state_dict())
        ),
        r"in backbone, 4 in classifier\)",
    ),
    "adapters": (lambda state: {"base_model.model.blocks.0.attn.qkv.lora_A.weight": torch.ones(4, 192)}, "LoRA adapters"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_network_is_refused_with_what_it_is(kind: str, tmp_path: Path) -> None:
    make, words = REFUSED[kind]
    torch.save(make(weights()), tmp_path / "weights.pth")
    with pytest.raises(vizlib.CheckpointError, match=words):
        vizlib.load(NAME, checkpoint=tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "HDF5"),
        (b"GGUF\x03" + bytes(90), "GGUF"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:" + bytes(90), "ONNX"),
        (b"\x93NUMPY\x01\x00" + bytes(90), "numpy array"),
        (b"\x89PNG\r\n\x1a\n" + bytes(90), "PNG"),
    ],
)
def test_files_of_another_kind_are_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(vizlib.CheckpointError, match=words):
        vizlib.load(NAME, checkpoint=tmp_path / "weights.pth")


def in_jax(state: State, heads: int) -> dict[str, np.ndarray]:
    """A plain ViT's weights in the layout of the original release."""
    arrays: dict[str, np.ndarray] = {"cls": state["cls_token"].numpy(), "embedding/bias": state["patch_embed.proj.bias"].numpy()}
    arrays["embedding/kernel"] = state["patch_embed.proj.weight"].permute(2, 3, 1, 0).numpy()
    arrays["Transformer/posembed_input/pos_embedding"] = state["pos_embed"].numpy()
    for ours, theirs in (("norm", "Transformer/encoder_norm"),):
        arrays |= {f"{theirs}/scale": state[f"{ours}.weight"].numpy(), f"{theirs}/bias": state[f"{ours}.bias"].numpy()}
    arrays |= {"head/kernel": state["head.weight"].T.numpy(), "head/bias": state["head.bias"].numpy()}
    width = state["pos_embed"].shape[2]
    for block in range(sum(key.endswith("attn.qkv.weight") for key in state)):
        own, home = f"blocks.{block}.", f"Transformer/encoderblock_{block}/"
        for ours, theirs in (("norm1", "LayerNorm_0"), ("norm2", "LayerNorm_2")):
            arrays |= {
                f"{home}{theirs}/scale": state[f"{own}{ours}.weight"].numpy(),
                f"{home}{theirs}/bias": state[f"{own}{ours}.bias"].numpy(),
            }
        attention = f"{home}MultiHeadDotProductAttention_1/"
        for part, name in enumerate(("query", "key", "value")):
            rows = slice(part * width, (part + 1) * width)
            arrays[f"{attention}{name}/kernel"] = state[f"{own}attn.qkv.weight"][rows].T.reshape(width, heads, -1).numpy()
            arrays[f"{attention}{name}/bias"] = state[f"{own}attn.qkv.bias"][rows].reshape(heads, -1).numpy()
        arrays[f"{attention}out/kernel"] = state[f"{own}attn.proj.weight"].T.reshape(heads, -1, width).numpy()
        arrays[f"{attention}out/bias"] = state[f"{own}attn.proj.bias"].numpy()
        for number, layer in enumerate(("fc1", "fc2")):
            arrays[f"{home}MlpBlock_3/Dense_{number}/kernel"] = state[f"{own}mlp.{layer}.weight"].T.numpy()
            arrays[f"{home}MlpBlock_3/Dense_{number}/bias"] = state[f"{own}mlp.{layer}.bias"].numpy()
    return arrays


@pytest.fixture(scope="module")
def jax_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    module = timm.create_model("vit_tiny_patch16_224", num_classes=5)
    fill_random(module)
    path = tmp_path_factory.mktemp("jax") / "Ti_16.npz"
    np.savez(path, **in_jax(module.state_dict(), heads=3))
    return path, module.state_dict()


@pytest.mark.parametrize("size", [None, 64])
def test_the_original_vit_release(jax_file: tuple[Path, State], size: int | None) -> None:
    path, state = jax_file
    model = vizlib.load("vit_tiny_patch16_224", checkpoint=path, image_size=size)
    assert model.num_classes == 5
    for key, value in model.module.state_dict().items():
        if size is None or key != "pos_embed":  # which is resized
            assert torch.allclose(value, state[key], atol=1e-6), key
    assert model.module.pos_embed.shape[1] == (197 if size is None else 17)


@pytest.mark.parametrize("drop", [None, "Transformer/encoderblock_11/", "head/", "cls"])
def test_a_jax_file_of_another_network_says_which(jax_file: tuple[Path, State], tmp_path: Path, drop: str | None) -> None:
    with np.load(jax_file[0]) as arrays:
        kept = {key: arrays[key] for key in arrays.files if drop is None or not key.startswith(drop)}
    np.savez(tmp_path / "other.npz", **kept)
    if drop == "head/":
        assert vizlib.load("vit_tiny_patch16_224", checkpoint=tmp_path / "other.npz").num_classes == 0
        return
    name = "vit_small_patch16_224" if drop is None else "vit_tiny_patch16_224"
    blocks = 11 if drop == "Transformer/encoderblock_11/" else 12
    with pytest.raises(vizlib.CheckpointError, match=f"holds {blocks} blocks and a head of 5 classes in JAX's layout, [0-9,]+ weights"):
        vizlib.load(name, checkpoint=tmp_path / "other.npz")
    with pytest.raises(vizlib.CheckpointError, match=r"tensors \(\d+ in Transformer"):
        vizlib.load("resnet_tiny50", checkpoint=tmp_path / "other.npz")
    with pytest.raises(vizlib.CheckpointError, match="timm does not read into resnet18"):
        vizlib.load("resnet18", checkpoint=tmp_path / "other.npz")


def test_arrays_that_are_no_network(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=np.zeros((3, 4)), labels=np.zeros(3))
    with pytest.raises(vizlib.CheckpointError, match=r"2 tensors \(1 in images, 1 in labels\)"):
        vizlib.load("vit_tiny_patch16_224", checkpoint=tmp_path / "images.npz")
    np.savez(tmp_path / "objects.npz", things=np.array([{}], dtype=object))
    with pytest.raises(vizlib.CheckpointError, match="Object arrays"):
        vizlib.load("vit_tiny_patch16_224", checkpoint=tmp_path / "objects.npz")


def test_a_deeper_jax_file_is_not_cut_short(jax_file: tuple[Path, State], tmp_path: Path) -> None:
    with np.load(jax_file[0]) as arrays:
        deeper = dict(arrays) | {key.replace("block_11/", "block_12/"): arrays[key] for key in arrays.files if "block_11/" in key}
    np.savez(tmp_path / "deeper.npz", **deeper)
    with pytest.raises(vizlib.CheckpointError, match="holds 13 blocks"):
        vizlib.load("vit_tiny_patch16_224", checkpoint=tmp_path / "deeper.npz")
