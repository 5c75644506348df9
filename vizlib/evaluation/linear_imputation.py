"""Noisy linear imputation: hidden pixels become the mean of their neighbours, all of them solved for at once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import numpy as np

NOISE = 0.01  # the noise's standard deviation, as a share of the input's range
BESIDE, CORNER = 1 / 6, 1 / 12  # the weights of the neighbours that share a side, and of those that share a corner


def noisy_linear_imputation(x: torch.Tensor, hidden: torch.Tensor, noise: float = NOISE, seed: int = 0) -> torch.Tensor:
    """Images (n, C, h, w) like ``x`` (1, C, h, w) whose ``hidden`` pixels, bool (n, h, w), tell nothing, and do not show where they are.

    A hidden pixel is the mean of its eight neighbours, hidden ones too, with the weights 1/6 and 1/12 (at the border those that there are,
    scaled to sum to 1), plus Gaussian noise of ``noise`` times the range of ``x``. At least one pixel of each has to be seen.
    Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods (2022), https://arxiv.org/abs/2202.00449.
    """
    values = x[0].detach().to("cpu", torch.float64)
    speckle = torch.randn(values.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    speckle *= noise * float(values.amax() - values.amin())
    masks = hidden.cpu().flatten(1).numpy()
    flat = values.flatten(1).T.numpy()
    solved = (
        torch.from_numpy(_solve(flat, masks, (int(values.shape[1]), int(values.shape[2])))).transpose(1, 2).unflatten(2, values.shape[1:])
    )
    return torch.where(hidden.cpu()[:, None], solved + speckle, values).to(x)


def _solve(values: np.ndarray, masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Colours (n, P, C) like ``values`` (P, C), those under the masks (n, P) harmonic: each the weighted mean of its neighbours."""
    import numpy as np
    from scipy.sparse.linalg import splu

    laplacian = _laplacian(size)
    images = np.repeat(values[None], len(masks), 0)
    for image, mask in zip(images, masks, strict=True):
        if mask.any():
            rows = laplacian[mask]
            factors = splu(rows[:, mask].tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
            image[mask] = factors.solve(-(rows[:, ~mask] @ values[~mask]))
    return images


@lru_cache(maxsize=4)
def _laplacian(size: tuple[int, int]) -> Any:
    """The sum of a pixel's weights on the diagonal, less its neighbours' weights: sparse (P, P) for P = h w pixels, row by row."""
    import numpy as np
    from scipy.sparse import coo_array, diags_array

    height, width = size
    places = np.arange(height * width).reshape(size)
    neighbours = [  # one of each two that are opposite: the matrix is symmetric
        (places[:, :-1], places[:, 1:]),
        (places[:-1], places[1:]),
        (places[:-1, :-1], places[1:, 1:]),
        (places[:-1, 1:], places[1:, :-1]),
    ]
    here = np.concatenate([pixels.ravel() for pixels, _ in neighbours])
    there = np.concatenate([pixels.ravel() for _, pixels in neighbours])
    weights = np.repeat([BESIDE, BESIDE, CORNER, CORNER], [pixels.size for pixels, _ in neighbours])
    half = coo_array((weights, (here, there)), shape=(places.size, places.size)).tocsr()
    whole = half + half.T
    return (diags_array(whole.sum(1)) - whole).tocsr()
