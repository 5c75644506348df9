"""One forward pass as one picture: the work, done in a worker process, and the message that draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vizlib.figures.layer_names import layer_title
from vizlib.ui.core.message_codec import pack
from vizlib.ui.core.model_input import as_jpeg, model_input
from vizlib.ui.pages.attention.pass_work import traced_pass

if TYPE_CHECKING:
    import numpy as np
    import torch

    from vizlib import Model
    from vizlib.analysis import ForwardSteps
    from vizlib.analysis.features.forward_steps import Answer, BlockSteps
    from vizlib.engine.jobs import Progress
    from vizlib.ui.components.attention_canvas.payload import View
    from vizlib.ui.pages.attention.pass_work import PassRequest

# The order of the vectors in the message: forward_pass.js has the same.
STATES = ("arrives", "first_norm", "attention", "between", "carried", "second_norm", "mlp", "leaves")
NUMBERS = 8  # of each vector are drawn
SOURCES = 5  # keys that a token looks at most
TOP = 5  # classes


@dataclass(frozen=True)
class LayerSize:
    """A layer in numbers: tokens that ask, keys that answer, and mean lengths over its tokens of what arrives, is added and leaves."""

    title: str
    stage: int
    tokens: int
    keys: int
    arrives: float
    attention: float
    mlp: float
    leaves: float


@dataclass(frozen=True, eq=False)
class ForwardPicture:
    """What the page draws and says of a pass: the ``message`` of the component, its ``layers``, and what is read, a key of READS.

    ``norms_skip`` says that blocks norm what goes past the MLP. ``refusal`` says why there is nothing; the rest is then empty.
    """

    layers: tuple[LayerSize, ...] = ()
    reads: str = ""
    norms_skip: bool = False
    message: bytes = b""
    refusal: str = ""

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return len(self.message) + 2000


def compute_forward_picture(request: PassRequest, model: Model, *, progress: Progress) -> ForwardPicture:
    """Take a pass apart and pack it, or say why this model cannot be taken apart."""
    import vizlib
    from vizlib.analysis import forward_steps

    progress(0, None, "Taking the pass apart")
    traced = traced_pass(request, model)
    try:
        steps = forward_steps(model, traced.x[0], numbers=NUMBERS)
    except vizlib.MethodError as error:
        return ForwardPicture(refusal=str(error))
    reads = readout_of(steps)
    photo = model_input(request.picture, traced.geometry)
    message = pack_forward_pass(steps, model, traced.view, photo, request.picture.title, reads)
    return ForwardPicture(tuple(map(_size_of, steps.blocks)), reads, any(map(_norms_skip, steps.blocks)), message)


def readout_of(steps: ForwardSteps) -> str:
    """What the head reads: one learned token, the mean of tokens, or a pool that weighs them by a score of their own."""
    block, read = steps.blocks[-1], steps.answer.read
    if len(read) != block.site.query_grid.tokens:
        return "pool"
    shares = read[read > 0]
    if len(shares) == 1 and int(read.argmax()) < block.site.prefix:
        return "class token"
    return "mean" if float(shares.max() - shares.min()) < 1e-6 else "pool"


READS = {
    "class token": "The head reads the class token alone, after a last norm.",
    "mean": "The head reads the mean of the tokens.",
    "pool": "The head reads all tokens, each with a weight of its own.",
}


def pack_forward_pass(steps: ForwardSteps, model: Model, view: View, photo: np.ndarray, title: str, reads: str) -> bytes:
    """All tokens of all layers: the first numbers of every vector, its length, and the keys that are looked at most."""
    from vizlib.ui.components._lib import viridis

    arrays: dict[str, Any] = {"photo": as_jpeg(photo), "viridis": viridis()}
    layers = []
    for index, block in enumerate(steps.blocks):
        arrays |= {f"{index}.{name}": values for name, values in _arrays_of(block).items()}
        site = block.site
        layers.append(
            {
                "title": layer_title(block.name),
                "width": block.width,
                "heads": site.heads,
                "grid": list(site.query_grid.shape),
                "prefix": view.prefix(site.query_grid),
                "keys": list(site.key_grid.shape),
                "key_prefix": view.prefix(site.key_grid),
                "has": [name for name in STATES if getattr(block, name) is not None],
                "norms_skip": _norms_skip(block),
                "sources": arrays[f"{index}.sources"].shape[1],
            }
        )
    if steps.patches is not None:
        arrays |= {"patches.numbers": steps.patches.numbers.numpy(), "patches.lengths": steps.patches.lengths.numpy()}
    grid, size = steps.blocks[0].site.query_grid, model.geometry(photo.shape[:2]).input_size
    header = {
        "title": title,
        "size": list(photo.shape[:2]),
        "numbers": min(NUMBERS, steps.blocks[0].width),
        "channels": int(steps.answer.features.numel()) if steps.answer.features is not None else steps.blocks[-1].width,
        "layers": layers,
        "patches": steps.patches is not None,
        "patch": [size[0] // grid.height, size[1] // grid.width],
        "before": f"{grid.cells:,} tokens come out of what this model does to the pixels before its first attention.",
        "read": READS[reads],
        "start": _start(steps),
        "features": None if steps.answer.features is None else steps.answer.features[:NUMBERS].tolist(),
        "top": top_of(steps.answer, model),
    }
    return pack(header, arrays)


def top_of(answer: Answer, model: Model) -> list[dict[str, Any]]:
    """The likeliest classes, each with its logit, and the first numbers of its weights, the sum of the other products, and its bias."""
    probabilities = model.probabilities(answer.logits[None])[0]
    classes = []
    for index in answer.logits.topk(min(TOP, len(answer.logits))).indices.tolist():
        of_class: dict[str, Any] = {
            "label": model.label(index).split(",")[0], "logit": float(answer.logits[index]), "probability": float(probabilities[index]),
        }  # fmt: skip
        if answer.features is not None and answer.weights is not None and answer.bias is not None:
            products = answer.features * answer.weights[index]
            of_class |= {
                "weights": answer.weights[index, :NUMBERS].tolist(),
                "rest": float(products[NUMBERS:].sum()),
                "bias": float(answer.bias[index]),
            }
        classes.append(of_class)
    return classes


def _arrays_of(block: BlockSteps) -> dict[str, np.ndarray]:
    import torch

    states = [getattr(block, name) for name in STATES]
    empty = torch.zeros_like(block.arrives.numbers)
    sources, shares = block.sources(SOURCES)
    return {
        "numbers": torch.stack([empty if state is None else state.numbers for state in states]).numpy(),
        "lengths": torch.stack([empty[:, 0] if state is None else state.lengths for state in states]).numpy(),
        "sources": sources.numpy().astype("<i4"),
        "shares": shares.numpy(),
    }


def _start(steps: ForwardSteps) -> dict[str, float]:
    """The place of the patch that the answer comes from most: what the class token looks at in the last layer, or what is read most."""
    block, read = steps.blocks[-1], steps.answer.read
    grid = block.site.query_grid
    row: torch.Tensor = read if len(read) == grid.tokens else block.site.weights([0]).float().mean(0)[0]
    if int(row.argmax()) < grid.prefix:
        row = block.site.weights([int(row.argmax())]).float().mean(0)[0]
        grid = block.site.key_grid
    cell = int(row[grid.prefix :].argmax())
    return {"v": (cell // grid.width + 0.5) / grid.height, "u": (cell % grid.width + 0.5) / grid.width}


def _norms_skip(block: BlockSteps) -> bool:
    return block.carried is not block.between and not bool((block.carried.lengths == block.between.lengths).all())


def _size_of(block: BlockSteps) -> LayerSize:
    means = [float(getattr(block, name).lengths.mean()) for name in ("arrives", "attention", "mlp", "leaves")]
    site = block.site
    return LayerSize(layer_title(block.name), site.stage, site.query_grid.tokens, site.key_grid.tokens, *means)
