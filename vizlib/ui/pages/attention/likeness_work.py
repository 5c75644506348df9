"""A patch of the page's picture among all patches of another one, and a head's queries and keys in one plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vizlib.ui.pages.attention.pass_work import traced_pass

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from vizlib import Model
    from vizlib.engine.jobs import Progress
    from vizlib.geometry import Geometry
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.pages.attention.pass_work import PassRequest


@dataclass(frozen=True, eq=False)
class Likeness:
    """Cosines of the picture's cells with its own (N, N) and with the other picture's (N, M); the features' grids and where those lie."""

    own: np.ndarray
    other: np.ndarray
    grids: tuple[tuple[int, int], tuple[int, int]]
    geometries: tuple[Geometry, Geometry]


@dataclass(frozen=True, eq=False)
class HeadPlane:
    """Where a head's queries (N, 2) and keys (M, 2) of each picture lie, the page's first; the share of their spread that the two axes
    hold, and how far nearness is fit.
    """

    queries: tuple[np.ndarray, ...]
    keys: tuple[np.ndarray, ...]
    share: float
    correlation: float


def compute_likeness(request: PassRequest, other: Picture, layer: int, model: Model, *, progress: Progress) -> Likeness | None:
    """How alike the features of a layer's block are at the cells of both pictures; None where they lie on no grid."""
    from vizlib.analysis.features.patch_similarity import patch_similarity

    progress(0, None, "Comparing patches")
    passes = traced_pass(request, model), traced_pass(replace(request, picture=other), model)
    block = passes[0].view.sites[layer].name.rpartition(".")[0]
    if any(block not in traced.trace.features for traced in passes):
        return None
    first, second = (traced.trace.features[block] for traced in passes)
    grids = ((first.shape[1], first.shape[2]), (second.shape[1], second.shape[2]))
    own, beside = patch_similarity(first, first), patch_similarity(first, second)
    return Likeness(own.cpu().numpy(), beside.cpu().numpy(), grids, (passes[0].geometry, passes[1].geometry))


def compute_head_plane(
    request: PassRequest, others: Sequence[Picture], layer: int, head: int, model: Model, *, progress: Progress
) -> HeadPlane:
    """The plane of one head over the request's picture and ``others``."""
    from vizlib.analysis.attention.query_key_embedding import query_key_planes

    sites = []
    for number, picture in enumerate((request.picture, *others)):
        progress(number, 1 + len(others), "Finding the plane")
        sites.append(traced_pass(replace(request, picture=picture), model).view.sites[layer])
    planes = query_key_planes([(site.q[0, head], site.k[0, head]) for site in sites])
    return HeadPlane(
        tuple(plane.queries.cpu().numpy() for plane in planes),
        tuple(plane.keys.cpu().numpy() for plane in planes),
        float(planes[0].shares.sum()),
        planes[0].correlation,
    )
