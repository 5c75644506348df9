"""The original releases of BiT and SigLIP as NPZ files, in small: what is read answers as the network that the file was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from timm.models.resnetv2 import ResNetV2
from timm.models.vision_transformer import VisionTransformer

import vizlib
from vizlib.zoo.conversions.jax_checkpoints import from_jax, is_jax, jax_classes
from vizlib.zoo.weights import fill_random, load_strict, read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

Arrays = dict[str, np.ndarray]
X = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def bit(**changes: Any) -> ResNetV2:
    return ResNetV2(**{"layers": (1, 2), "channels": (128, 256), "stem_chs": 32, "num_classes": 5, "stem_type": "fixed"} | changes).eval()


def siglip(**changes: Any) -> VisionTransformer:
    options = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 0, "class_token": False}
    return VisionTransformer(**{**options, "global_pool": "map", **changes}).eval()


def filled(module: nn.Module) -> nn.Module:
    fill_random(module)
    return module


def kernel(weight: torch.Tensor) -> np.ndarray:
    """A matrix or a convolution as JAX keeps it: inputs before outputs, rows and columns first."""
    return weight.detach().permute(2, 3, 1, 0).numpy() if weight.ndim == 4 else weight.detach().T.numpy()


def bit_arrays(module: ResNetV2) -> Arrays:
    arrays = {"resnet/root_block/standardized_conv2d/kernel": kernel(module.stem.conv.weight)}

    def norm(name: str, part: nn.Module) -> None:
        arrays[f"resnet/{name}/gamma"], arrays[f"resnet/{name}/beta"] = part.weight.detach().numpy(), part.bias.detach().numpy()

    norm("group_norm", module.norm)
    for number, stage in enumerate(module.stages, start=1):
        for unit, block in enumerate(stage.blocks, start=1):
            home = f"block{number}/unit{unit:02d}"
            for place, letter in enumerate("abc", start=1):
                arrays[f"resnet/{home}/{letter}/standardized_conv2d/kernel"] = kernel(getattr(block, f"conv{place}").weight)
                norm(f"{home}/{letter}/group_norm", getattr(block, f"norm{place}"))
            if block.downsample is not None:
                arrays[f"resnet/{home}/a/proj/standardized_conv2d/kernel"] = kernel(block.downsample.conv.weight)
    if module.num_classes:
        arrays["resnet/head/conv2d/kernel"] = kernel(module.head.fc.weight)
        arrays["resnet/head/conv2d/bias"] = module.head.fc.bias.detach().numpy()
    return arrays


def siglip_arrays(module: VisionTransformer, *, stacked: bool) -> Arrays:
    """The image tower beside one of texts, each block by itself or all in one array."""
    width, heads = module.embed_dim, module.blocks[0].attn.num_heads

    def linear(part: nn.Module) -> Arrays:
        return {"kernel": kernel(part.weight), "bias": part.bias.detach().numpy()}

    def norm(part: nn.Module) -> Arrays:
        return {"scale": part.weight.detach().numpy(), "bias": part.bias.detach().numpy()}

    def attention(matrices: dict[str, tuple[torch.Tensor, torch.Tensor]], proj: nn.Module) -> Arrays:
        arrays = {"out/kernel": proj.weight.detach().T.reshape(heads, -1, width).numpy(), "out/bias": proj.bias.detach().numpy()}
        for name, (weight, bias) in matrices.items():
            arrays[f"{name}/kernel"] = weight.detach().T.reshape(width, heads, -1).numpy()
            arrays[f"{name}/bias"] = bias.detach().reshape(heads, -1).numpy()
        return arrays

    def under(prefix: str, arrays: Arrays) -> Arrays:
        return {f"{prefix}/{key}": value for key, value in arrays.items()}

    def block_arrays(block: nn.Module) -> Arrays:
        qkv = zip(block.attn.qkv.weight.chunk(3), block.attn.qkv.bias.chunk(3), strict=True)
        return {
            **under("LayerNorm_0", norm(block.norm1)),
            **under("LayerNorm_1", norm(block.norm2)),
            **under("MultiHeadDotProductAttention_0", attention(dict(zip(("query", "key", "value"), qkv, strict=True)), block.attn.proj)),
            **under("MlpBlock_0/Dense_0", linear(block.mlp.fc1)),
            **under("MlpBlock_0/Dense_1", linear(block.mlp.fc2)),
        }

    pool, blocks = module.attn_pool, [block_arrays(block) for block in module.blocks]
    (key, value), (key_bias, value_bias) = pool.kv.weight.chunk(2), pool.kv.bias.chunk(2)
    matrices = {"query": (pool.q.weight, pool.q.bias), "key": (key, key_bias), "value": (value, value_bias)}
    image = {
        "pos_embedding": module.pos_embed.detach().numpy(),
        **under("embedding", {"kernel": kernel(module.patch_embed.proj.weight), "bias": module.patch_embed.proj.bias.detach().numpy()}),
        **under("Transformer/encoder_norm", norm(module.norm)),
        "MAPHead_0/probe": pool.latent.detach().numpy(),
        **under("MAPHead_0/MultiHeadDotProductAttention_0", attention(matrices, pool.proj)),
        **under("MAPHead_0/LayerNorm_0", norm(pool.norm)),
        **under("MAPHead_0/MlpBlock_0/Dense_0", linear(pool.mlp.fc1)),
        **under("MAPHead_0/MlpBlock_0/Dense_1", linear(pool.mlp.fc2)),
    }
    if stacked:
        image |= under("Transformer/encoderblock", {key: np.stack([block[key] for block in blocks]) for key in blocks[0]})
    else:
        for number, block in enumerate(blocks):
            image |= under(f"Transformer/encoderblock_{number}", block)
    texts = {"params/txt/Embed_0/embedding": np.zeros((9, width), np.float32), "params/t": np.zeros(1), "params/b": np.zeros(1)}
    return under("params/img", image) | texts


def read(path: Path, arrays: Arrays, module: nn.Module) -> nn.Module:
    np.savez(path, **arrays)
    state = read_checkpoint(path)
    assert is_jax(state)
    load_strict(module, from_jax(module, state, "small"), "small")
    return module


@pytest.mark.parametrize("classes", [5, 0])
def test_bit(classes: int, tmp_path: Path) -> None:
    source = filled(bit(num_classes=classes))
    arrays = bit_arrays(source)
    module = read(tmp_path / "bit.npz", arrays, bit(num_classes=classes))
    assert jax_classes(read_checkpoint(tmp_path / "bit.npz")) == classes
    with torch.no_grad():
        assert torch.equal(module(X), source(X))


@pytest.mark.parametrize("stacked", [False, True])
def test_siglip(stacked: bool, tmp_path: Path) -> None:
    source = filled(siglip())
    module = read(tmp_path / "siglip.npz", siglip_arrays(source, stacked=stacked), siglip())
    assert jax_classes(read_checkpoint(tmp_path / "siglip.npz")) == 0
    with torch.no_grad():
        assert torch.equal(module(X), source(X))


@pytest.mark.parametrize(
    ("make", "arrays"),
    [
        (lambda: bit(layers=(1, 3)), lambda: bit_arrays(filled(bit()))),
        (lambda: bit(layers=(1, 1)), lambda: bit_arrays(filled(bit()))),
        (lambda: bit(num_classes=0), lambda: bit_arrays(filled(bit()))),
        (lambda: siglip(depth=3), lambda: siglip_arrays(filled(siglip()), stacked=False)),
        (lambda: siglip(depth=1), lambda: siglip_arrays(filled(siglip()), stacked=True)),
        (lambda: siglip(num_classes=4), lambda: siglip_arrays(filled(siglip()), stacked=True)),
        (siglip, lambda: bit_arrays(filled(bit()))),
        (bit, lambda: siglip_arrays(filled(siglip()), stacked=False)),
    ],
)
def test_a_release_of_another_size_is_refused(make: Any, arrays: Any, tmp_path: Path) -> None:
    with pytest.raises(vizlib.CheckpointError, match="JAX's layout"):
        read(tmp_path / "other.npz", arrays(), make())
