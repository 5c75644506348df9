"""Why a package's map of the same name is another one than ours: the reason in words, and what makes both the same map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model


@dataclass(frozen=True)
class Difference:
    """``reason`` in words; ``ours`` makes our map (h, w) without it, of an input (1, 3, h, w) and a class.

    Of several maps the one that agrees best counts. ``call`` is the package's call that it is set beside, where that is another one.
    """

    reason: str
    ours: Callable[[Model, torch.Tensor, int], list[np.ndarray]]
    call: str = ""


def rollout_between_centres(model: Model, x: torch.Tensor, target: int) -> list[np.ndarray]:
    """Each patch's share of the rollout, drawn bilinearly between the patches' centres."""
    import torch
    import torch.nn.functional as F

    pixels = torch.from_numpy(_explain(model, x, "rollout", target).input_map)[None, None]
    stride = model.adapter.stride()
    assert stride is not None  # noqa: S101  a ViT has patches
    return [F.interpolate(F.avg_pool2d(pixels, stride), pixels.shape[2:], mode="bilinear", align_corners=False)[0, 0].numpy()]


def eigen_cam_of_centred(model: Model, x: torch.Tensor, target: int) -> list[np.ndarray]:
    """Eigen-CAM of channels less their means, by both signs: the package takes the one that its decomposition happens to give."""
    from vizlib.explainers.methods.cam.eigen_cam import any_answer
    from vizlib.explainers.parts.weighed_maps import cam_maps
    from vizlib.explainers.targets import resolve_targets

    def of_sign(sign: int) -> np.ndarray:
        def weigh(values: torch.Tensor, _slopes: torch.Tensor) -> torch.Tensor:
            import torch

            centred = values - values.mean(1, keepdim=True)
            first = torch.linalg.svd(centred, full_matrices=False).Vh[:, :1]
            return (sign * (centred * first).sum(2)).clamp_min(0)

        return cam_maps(model, x, lambda logits: resolve_targets(model, target, logits), weigh, score=any_answer)[1][0].numpy()

    return [of_sign(1), of_sign(-1)]


def balanced_by_cp(model: Model, x: torch.Tensor, target: int) -> list[np.ndarray]:
    """Input times the gradient by the rule cp."""
    return [_explain(model, x, "balanced", target, gradient="cp").input_map]


def _explain(model: Model, x: torch.Tensor, method: str, target: int, **options: Any) -> Explanation:
    import vizlib

    return cast("Explanation", vizlib.explain(model, x[0], method, target, **options))


# By the name of the package's call in peers.py.
DIFFERENCES = {
    "torchxai_rollout": Difference(
        "it draws bilinearly between the patches' centres, ours leaves each patch's share on the patch's own pixels; drawn alike",
        rollout_between_centres,
    ),
    "grad_cam_eigen_cam": Difference(
        "it takes each channel's mean away first, the paper's formula and ours do not; with the means taken away", eigen_cam_of_centred
    ),
    "hilrp": Difference(
        "its gamma of 0.25 is one more rule, which ours leaves out; with its gamma at 0", balanced_by_cp, "hilrp_without_gamma"
    ),
}
