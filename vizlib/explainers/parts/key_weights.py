"""What a key of an attention counts beside its weight: by the length of its value, or by the head that it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vizlib.errors import MethodError
from vizlib.tracing.attention_gradients import slope_sums

if TYPE_CHECKING:
    from vizlib.tracing.attention_site import AttentionSite

POWERS = {"l1": 1, "l2": 2}


def value_lengths(site: AttentionSite) -> torch.Tensor:
    """|v| of each key in each head (B, h, M), at least float32: A_ij |v_j| is how much of query i's output comes from key j.

    The length part of TokenTM (Wu et al. 2024, https://arxiv.org/abs/2403.14552), as Kobayashi et al. 2020 take it
    (https://arxiv.org/abs/2004.10102), before the heads' outputs are projected. MethodError where heads are mixed or values not known.
    """
    _check_heads(site, "a value meets the weights of other heads", "key_weights='even'")
    if site.v is None or site.v.shape[:3] != site.k.shape[:3]:
        raise MethodError(f"The values of {site.name} cannot be told key by key, so they have no lengths; take key_weights='even'.")
    return torch.linalg.vector_norm(site.v, dim=-1, dtype=torch.promote_types(site.v.dtype, torch.float32))


def head_shares(site: AttentionSite, images: int, norm: str) -> torch.Tensor:
    """Each head's share w_h = |dL/dA_h| / sum_g |dL/dA_g| of the norms "l1" or "l2", for every row of a site: (B, h, 1), at least float32.

    Norms are over all windows of an image; where no head has a slope, all count the same. GMAR (Jo et al. 2025,
    https://arxiv.org/abs/2504.19414). MethodError where heads are mixed.
    """
    _check_heads(site, "no head has weights of its own", "head_weights='none'")
    precision = torch.promote_types(site.k.dtype, torch.float32)
    if site.heads == 1:
        return torch.ones(site.images, 1, 1, dtype=precision, device=site.k.device)
    sums = slope_sums(site, POWERS[norm]).unflatten(0, (images, -1)).sum(1)
    norms = sums ** (1 / POWERS[norm])
    total = norms.sum(1, keepdim=True)
    shares = torch.where(total > 0, norms / total.clamp_min(torch.finfo(torch.float64).tiny), 1 / site.heads)
    return shares.repeat_interleave(site.images // images, 0)[..., None].to(precision)


def _check_heads(site: AttentionSite, why: str, instead: str) -> None:
    if site.factor is not None:
        raise MethodError(f"{site.name} mixes its heads after the softmax, so {why}; take {instead}.")
