"""A shared copy whose ReLUs do not write over their input, so that they can be hooked."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from vizlib.explainers.scorer import TargetScorer


def hookable(scorer: TargetScorer) -> nn.Module:
    """The scores as a module; the copy's own ReLUs give new tensors, and the model's stay as they are."""
    # Captum tells of the hooks that it sets; they are on a shared copy, and nobody has to know.
    warnings.filterwarnings("ignore", message=r"\s*Setting (forward, )?backward hooks", category=UserWarning, module="captum")
    for part in scorer.copied.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    return scorer.module()
