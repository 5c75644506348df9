"""What the logit lens of a picture shows: the classes that lead after each block, and a map of one class for every block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vizlib.figures.layer_names import layer_title
from vizlib.ui.core.message_codec import pack
from vizlib.ui.core.model_input import as_jpeg, model_input

if TYPE_CHECKING:
    from vizlib import Model
    from vizlib.analysis import LogitLens
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture

_MOST = 6  # classes in one chart


@dataclass(frozen=True, eq=False)
class Curve:
    """The probability (L,) of a class after each block."""

    index: int
    label: str
    values: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class DepthAnswers:
    """A logit lens as pages show it: for each of L ``layers`` the class that leads, and ``curves`` of those that ever do.

    The first curve is the model's answer, which leads for good from layer ``settled`` on, counted from 0. ``alone`` is, for each layer, how
    many of ``patches`` answer the ``target`` when each is read alone, and ``maps`` draws them; ``reads_patches`` says whether the head
    reads patches at all. ``refusal`` says why there is nothing; the rest is then empty.
    """

    layers: tuple[str, ...] = ()
    leaders: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    settled: int = 0
    target: Curve | None = None
    alone: tuple[int, ...] = ()
    patches: int = 0
    reads_patches: bool = False
    no_patches: str = ""
    maps: bytes = b""
    refusal: str = ""

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return len(self.maps) + 4000


def compute_depth_answers(picture: Picture, fit: str | None, target: int | None, model: Model, progress: Progress) -> DepthAnswers:
    """The lens of a picture, or the sentence that says why this model has none."""
    import vizlib
    from vizlib.analysis import logit_lens
    from vizlib.passes.forward import run

    progress(0, None, "Reading every layer")
    x = model.prepare(picture.pixels, fit)
    try:
        lens = logit_lens(model, x[0], target)
    except (vizlib.MethodError, vizlib.TargetError) as error:
        return DepthAnswers(refusal=str(error))
    lineage = run(model, x).lineage()
    grid = lineage.sites[0].query_grid
    reads = bool((lineage.readout[0, -grid.cells :] > 0).any()) if lineage.readout.shape[1] == grid.tokens else True
    photo = model_input(picture, model.geometry(picture.pixels.shape[:2], fit))
    return depth_answers(lens, model, photo, picture.title, reads_patches=reads)


def depth_answers(lens: LogitLens, model: Model, photo: np.ndarray, title: str, *, reads_patches: bool) -> DepthAnswers:
    """A lens made ready to be drawn over ``photo`` uint8 (H, W, 3), the part of the picture that the model sees."""
    layers = tuple(map(layer_title, lens.blocks))
    answers = lens.answers.tolist()
    shown = list(dict.fromkeys([answers[-1], *reversed(answers), *lens.logits[-1].argsort(descending=True)[:2].tolist()]))[:_MOST]
    curves = {index: Curve(index, model.label(index), tuple(lens.probabilities[:, index].tolist())) for index in {*shown, lens.target}}
    alone: tuple[int, ...] = ()
    maps, patches = b"", 0
    if lens.patches is not None:
        alone = tuple((lens.patches.answers == lens.target).flatten(1).sum(1).tolist())
        patches = lens.patches.answers[0].numel()
        maps = _pack_maps(lens, model, photo, title, layers)
    return DepthAnswers(
        layers, tuple(model.label(index) for index in answers), tuple(curves[index] for index in shown), lens.settled, curves[lens.target],
        alone, patches, reads_patches, lens.no_patches, maps,
    )  # fmt: skip


def _pack_maps(lens: LogitLens, model: Model, photo: np.ndarray, title: str, layers: tuple[str, ...]) -> bytes:
    from vizlib.ui.components._lib import viridis

    assert lens.patches is not None  # noqa: S101  its caller looked
    found, places = np.unique(lens.patches.answers.numpy(), return_inverse=True)
    values = lens.patches.probabilities.numpy().astype("<f4")
    header = {
        "title": title,
        "label": lens.label,
        "layers": layers,
        "grid": list(values.shape[1:]),
        "size": list(photo.shape[:2]),
        "high": float(values.max()),
        "names": [model.label(int(index)) for index in found],
    }
    return pack(
        header,
        {
            "photo": as_jpeg(photo),
            "viridis": viridis(),
            "values": values,
            "answers": places.reshape(values.shape).astype("<i4"),
        },
    )
