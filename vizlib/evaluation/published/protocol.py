"""What a published test of maps is: a record that the command line reads, and one function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from vizlib.zoo.model import Model


@dataclass(frozen=True)
class PublishedProtocol:
    """A test by its paper: ``columns`` of its table, True where a higher value speaks for the map, and the exact ``definition``.

    ``maps`` are the classes whose maps it takes, of "predicted" and "target". ``compute`` takes the model, one input (1, 3, h, w), its
    label and the maps (h, w) by class, and gives a number for each column; the table has their means over the pictures.
    """

    name: str
    title: str
    paper: str
    paper_url: str
    definition: str
    columns: Mapping[str, bool]
    maps: tuple[str, ...]
    compute: Callable[[Model, torch.Tensor, int, Mapping[str, torch.Tensor]], list[float]]
