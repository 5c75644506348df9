"""The weights inside an ONNX graph, under the names that they had in the torch module; the graph is read and never run."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from vizlib.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_POSITIONS = "embeddings.position_embeddings"


def check_onnx() -> None:
    """CheckpointError where the package `onnx`, which reads the format, is not installed."""
    if find_spec("onnx") is None:
        raise CheckpointError("These weights lie in an ONNX file: `pip install onnx`, which reads it, and try again.")


def read_initializers(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The named weights of an exported torch module, and the constants that the exporter renamed, on the CPU.

    A linear layer's matrix, which the exporter stores transposed and without its name, has that of the bias that is added behind it.
    CheckpointError for a file that is no ONNX graph or keeps its weights elsewhere.
    """
    check_onnx()
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (DecodeError, OSError) as error:
        raise CheckpointError(f"{path.name} is no ONNX graph ({error}): fetch it again.") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
        raise CheckpointError(f"{path.name} keeps its weights in another file: export it as one file.")
    tensors = {tensor.name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(tensor))) for tensor in graph.initializer}
    matrices = _linear_layers(graph, tensors)
    named = {name: tensor for name, tensor in tensors.items() if not name.startswith("onnx::")}
    named |= {layer: tensors[name].T.contiguous() for name, layer in matrices.items()}
    return named, {name: tensor for name, tensor in tensors.items() if name.startswith("onnx::") and name not in matrices}


def _linear_layers(graph: Any, tensors: dict[str, Tensor]) -> dict[str, str]:
    """By the constant's name, the name of the weights of the linear layer that it is."""
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul" and node.input[1] in tensors}
    layers: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Add":
            product = next((name for name in node.input if name in products), None)
            bias = next((name for name in node.input if name in tensors and name.endswith(".bias")), None)
            if product is not None and bias is not None:
                layers[products[product]] = f"{bias.removesuffix('.bias')}.weight"
    return layers


def dinov2_backbone(path: Path) -> dict[str, Tensor]:
    """The backbone of an exported DINOv2 under transformers' names, its decoder left aside, positions as the graph makes them.

    The graph resizes the square table of positions bicubically, without smoothing, to the grid of its one input size.
    """
    named, constants = read_initializers(path)
    state = {name.removeprefix("backbone."): tensor for name, tensor in named.items() if name.startswith("backbone.")}
    tables = sorted((tensor for tensor in constants.values() if tensor.ndim == 3), key=torch.numel)
    if len(tables) != 2 or "embeddings.cls_token" not in state:
        raise CheckpointError(f"{path.name} is not the graph of a DINOv2 whose positions can be told: fetch it again.")
    own, patches = tables
    side = input_side(path) // state["embeddings.patch_embeddings.projection.weight"].shape[-1]
    stored = round(patches.shape[1] ** 0.5)
    grid = patches.reshape(1, stored, stored, -1).permute(0, 3, 1, 2)
    grid = interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    state[_POSITIONS] = torch.cat([own, grid.permute(0, 2, 3, 1).reshape(1, side * side, -1)], dim=1)
    return state


def input_side(path: Path) -> int:
    """The side in pixels of the square picture that a graph takes."""
    import onnx

    shape = onnx.load(str(path), load_external_data=False).graph.input[0].type.tensor_type.shape
    return int(shape.dim[-1].dim_value)
