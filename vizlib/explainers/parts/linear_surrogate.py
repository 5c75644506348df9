"""The linear model that captum's LIME and Kernel SHAP fit: weighted least squares, in place of scikit-learn's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from captum._utils.models.model import Model as Surrogate

if TYPE_CHECKING:
    from torch.utils.data import DataLoader


class LeastSquares(Surrogate):  # type: ignore[misc]
    """y = w x + b under weighted squared errors plus ``ridge`` times |w|^2; b is not penalised."""

    def __init__(self, ridge: float) -> None:
        self.ridge = ridge
        self.weights = torch.zeros(0)
        self.offset = torch.zeros(())

    def fit(self, train_data: DataLoader[Any], **_: Any) -> None:
        """From batches of x (n, pieces), y (n,) and weights (n,); the least-norm solution where there are several."""
        x, y, weight = (torch.cat([batch[part].double() for batch in train_data]) for part in range(3))
        weight, y = weight.to(x.device).flatten(), y.flatten()  # Kernel SHAP's weights come on the CPU, wherever the model is
        centre_x, centre_y = (weight @ x) / weight.sum(), (weight @ y) / weight.sum()
        root = weight.sqrt()
        left, right = root[:, None] * (x - centre_x), root * (y - centre_y)
        if self.ridge:
            left = torch.cat([left, self.ridge**0.5 * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)])
            right = torch.cat([right, right.new_zeros(x.shape[1])])
        self.weights = torch.linalg.lstsq(left, right[:, None], driver="gelsd" if left.device.type == "cpu" else None).solution[:, 0]
        self.offset = centre_y - centre_x @ self.weights

    def representation(self) -> torch.Tensor:
        """The weights (1, pieces)."""
        return self.weights[None]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x.double() @ self.weights + self.offset
