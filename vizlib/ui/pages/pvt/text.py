"""The words of the PVT page, and the Python that gives its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.analysis.cost.spatial_reduction import POOL
from vizlib.figures.numbers import listed
from vizlib.ui.core.formatting import linked
from vizlib.zoo.official_releases import PAPERS as _PAPERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture

_FINE = "A fine grid has too many tokens for every one to look at every other. "
_POINT = " Point at the first picture to choose who asks, at the second to choose a key."
COST = (
    "Full attention grows with the fourth power of the picture's side. SRA divides that by R², linear SRA pools to 7 × 7 keys whatever "
    "the size, and grows with the second power only."
)
DENSE = (
    "A detector or a segmenter needs a label for every place. Here nothing is trained for that: all stages are brought to one grid, "
    "each with the same total variance, and k-means groups the cells. ViT has a single coarse grid to offer; ResNet is the pyramid of "
    "convolutions."
)
TITLES = {
    "pvt": (
        "PVT: a pyramid without convolution",
        "Patches do not overlap, and keys come from whole blocks, flattened and projected: no filter slides over the picture.",
    ),
    "pvt_v2": (
        "PVT v2: a pyramid with convolutions",
        "Windows overlap, every MLP holds a 3 × 3 depth-wise convolution, and no table of positions is left.",
    ),
}
PAPERS = "; ".join(linked(_PAPERS[family]) for family in ("pvt", "pvt_v2")) + "."


def keys_words(facts: Mapping[str, Any]) -> str:
    """How a model makes its keys, by what was read of its attention in ``reduced_keys_data``."""
    layers = facts["layers"]
    if facts["way"] == "pool":
        return (
            f"{_FINE}Linear spatial-reduction attention lets every token ask, and answers from a grid of {POOL} × {POOL} keys whatever the "
            "size of the picture: each key is made of the mean of a window of tokens, which one linear map, a norm and a GELU then change."
            f"{_POINT}"
        )
    ratios = [str(layer["reduction"]) for layer in layers]
    here = f"Here R is {listed(ratios)}, stage by stage" + ("; with R = 1 every token is a key. " if "1" in ratios else ". ")
    return (
        f"{_FINE}Spatial-reduction attention lets every token ask, and answers from a grid that is R times smaller along each side: every "
        "R × R block of tokens is flattened to one long vector and projected to one key. "
        f"{here}Blocks do not overlap, so nothing slides over the grid, though a convolution with stride R is how it is computed.{_POINT}"
    )


def snippet(model: ModelChoice, picture: Picture, fit: str | None) -> str:
    """The Python behind the page's figures."""
    given = "" if fit is None else f', "{fit}"'
    return f"""{picture.imports}import vizlib
from vizlib.analysis.cost import spatial_reduction
from vizlib.analysis.cost.spatial_reduction_timing import measure
from vizlib.analysis.features import feature_pyramid
from vizlib.analysis.features.token_maps import kmeans_map, norm_map, pca_rgb
from vizlib.passes.forward import run

model = {model.code}
image = vizlib.read_image({picture.code})
forward = run(model, model.prepare(image{given}), keep_states=True)

maps = feature_pyramid.stage_maps(forward)  # {{block: (channels, height, width)}}, fine to coarse
scales = feature_pyramid.scales(forward.lineage(), forward.size)
for name, features in maps.items():
    tokens = features.flatten(1).T
    colours = pca_rgb(tokens)[0]
    norms = norm_map(tokens, tuple(features.shape[1:]))
    print(name, tuple(features.shape), feature_pyramid.energy(features).mean(), feature_pyramid.octaves(features))
print(feature_pyramid.covered(scales, 1, (0, 0, 1, 1), 0))  # the pixels under the first cell of the first stage

step = spatial_reduction.sites(forward.lineage())[0]
print(step.site.weights(rows=[0]).shape)  # heads, queries, reduced keys
print(spatial_reduction.gathered(step, 0))  # the share of each token in the first key

grid = tuple(next(iter(maps.values())).shape[1:])
fused = feature_pyramid.fused(list(maps.values()), grid)
groups = kmeans_map(feature_pyramid.principal(fused.flatten(1).T), 4).reshape(grid)

layer = spatial_reduction.Layer(width=64, heads=1, reduction=8, stride=4)
print(spatial_reduction.multiply_adds("full", layer, layer.grid(224)), spatial_reduction.multiply_adds("sra", layer, layer.grid(224)))
for measurement in measure(layer, sides=(224, 320)):
    print(measurement)
"""
