"""The words of the CvT page, and the Python that gives its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.ui.core.formatting import linked
from vizlib.zoo.official_releases import PAPERS as _PAPERS

if TYPE_CHECKING:
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture

PROJECTION = (
    "Where ViT makes q, k and v with a linear map alone, $q = W_q\\,x$, CvT first runs a 3 × 3 depth-wise convolution: one small "
    "kernel for each channel, then the linear map. So $q = W_q\\,\\mathrm{conv}(x)$, "
    "$k = W_k\\,\\mathrm{conv}(x)$ and $v = W_v\\,\\mathrm{conv}(x)$, each with kernels of its own. "
    "Blue takes away, red adds. Move over the kernels to see what each makes of its channel."
)
KEYS = (
    "The convolutions of k and v step by two, so about a quarter of the keys is left. Each still gathers an overlapping window of 3 × 3 "
    "tokens. Point at the first picture to choose who asks, at the second to choose a key."
)
MOVED = (
    "CvT adds no table of positions: overlapping windows and convolutions tell it what lies beside what. A ViT without its table sees a "
    "bag of patches, and answers a shuffled picture as it answers the whole one. See how much each of them notices."
)
PAPER = f"{linked(_PAPERS['cvt'])}."


def snippet(model: ModelChoice, picture: Picture, fit: str | None) -> str:
    """The Python behind the page's figures."""
    given = "" if fit is None else f', "{fit}"'
    return f"""{picture.imports}import vizlib
from vizlib.analysis.cost import spatial_reduction
from vizlib.analysis.features import conv_projection, feature_pyramid
from vizlib.analysis.features.token_maps import pca_rgb
from vizlib.analysis.perturbation import patch_shuffle
from vizlib.passes.forward import run

model = {model.code}
image = vizlib.read_image({picture.code})
x = model.prepare(image{given})
forward = run(model, x, keep_states=True)

scales = feature_pyramid.scales(forward.lineage(), forward.size)
print(feature_pyramid.covered(scales, 1, (1, 1, 2, 2), 0))  # the pixels under a cell of the first stage: windows overlap
for name, features in feature_pyramid.stage_maps(forward).items():
    colours = pca_rgb(features.flatten(1).T)[0]
    print(name, tuple(features.shape), feature_pyramid.octaves(features))
walk = vizlib.explain(model, image, "rollout"{', fit="' + fit + '"' if fit else ""}).stages  # coarse to fine

for stage, block in conv_projection.blocks(forward):
    projection = conv_projection.projection(forward, stage, block)
    print(stage, block, conv_projection.centre_share(projection.kernels["q"]).mean())
    print(conv_projection.squeeze(forward, stage, block))

step = spatial_reduction.sites(forward.lineage("contribution"))[0]
print(spatial_reduction.gathered(step, 0))  # the share of each token in the first key

plain = vizlib.load("vit_tiny50")
blind = patch_shuffle.without_positions(plain)
print(patch_shuffle.shuffled(model, x, 16))
for vit in (plain, blind):
    y = vit.prepare(image{given})
    print(patch_shuffle.shuffled(vit, y, 8), patch_shuffle.shifted(vit, y, [(0, 4), (0, 8)]))
"""
