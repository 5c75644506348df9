"""PVT v2 comes from timm; only its official key layout is read here.

Wang et al., "PVT v2: Improved Baselines with Pyramid Vision Transformer", CVMJ 2022, arXiv:2106.13797; weights of whai362/PVT, Apache-2.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from timm.models.pvt_v2 import checkpoint_filter_fn

if TYPE_CHECKING:
    from torch import Tensor


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in timm's layout from one in the official layout; one that is in timm's layout already is returned as it is."""
    return checkpoint_filter_fn(state, None)
