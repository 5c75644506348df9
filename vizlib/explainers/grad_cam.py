"""Grad-CAM (Selvaraju et al. 2017) by captum, on a shadow of the module so that captum's hooks meet nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from vizlib.errors import MethodError
from vizlib.explainers.result import Finding
from vizlib.passes import check_finite
from vizlib.tracing.shadow import shadow

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.explainers.targets import Target
    from vizlib.zoo.model import Model


def explain(
    model: Model,
    x: torch.Tensor,
    settle: Callable[[torch.Tensor], list[Target]],
    options: dict[str, Any],  # noqa: ARG001  it has none
) -> tuple[list[Target], list[Finding]]:
    """relu(sum_k a_k A_k), a_k the mean over places of d score / d A_k, A the last feature map, for each prepared input (B, 3, h, w).

    The map is resized bilinearly to (h, w); it is zero where nothing of the layer speaks for the target.
    """
    from captum.attr import LayerGradCam

    copied = shadow(model.module).eval()
    path = model.adapter.feature_layer()
    layer = dict(copied.named_modules())[path]
    x = model.cast(x)
    with torch.no_grad():
        logits = model.run(copied, x)
    check_finite(model, x, logits)
    targets = settle(logits)

    def scores(images: torch.Tensor) -> torch.Tensor:
        values = model.run(copied, images)
        return torch.stack([target.score(row[None])[0] for target, row in zip(targets, values, strict=True)])

    with torch.enable_grad():
        maps = LayerGradCam(scores, layer).attribute(x.detach().clone().requires_grad_(), relu_attributions=True)
    if not isinstance(maps, torch.Tensor) or maps.ndim != 4:
        raise MethodError(f"{path} of {model.card.name} does not give a feature map (images, channels, rows, columns).")
    resized = F.interpolate(maps.detach().to(torch.float64), size=x.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    note = "Nothing in the last feature map speaks for this target: the map is zero."
    return targets, [Finding(one, None, () if bool(one.any()) else (note,)) for one in resized]
