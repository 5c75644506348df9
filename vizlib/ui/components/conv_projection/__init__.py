"""CvT's convolutional projection: the depth-wise kernels of q, k and v, and one channel's map before and after them."""

from __future__ import annotations

from vizlib.ui.components import register

_component = register("conv_projection")


def conv_projection(message: bytes, *, key: str) -> None:
    """Draw what ``pack_conv_projection`` packed."""
    _component(data=message, key=key)
