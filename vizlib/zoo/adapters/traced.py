"""Any network with attention: where it looks is found by running its own code on place numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vizlib.errors import MethodError
from vizlib.zoo.adapters.place_reader import NotRun
from vizlib.zoo.adapters.timm.convnets import PlainAdapter

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.tracing.recorder import Recording
    from vizlib.zoo.adapters.base import Lineage, Size

_ATTENDS = re.compile(r"attn|attention|transformer|mhsa|shma|mla$|sa$", re.IGNORECASE)


class TracedAdapter(PlainAdapter):
    """Convolutions, pools and merged patches are uniform windows; a sum is a residual where one side attends, else half of each side.

    What scales (norms, gates, softmax over channels) carries nothing; maxima spread evenly; padding is left out of windows, and as a key
    of attention it ends in the sink, as learned tokens do. The last feature map is read where the model says which one it is.
    """

    family = "traced"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        if self.refusals.get("lineage", "").startswith("vizlib has no adapter"):
            del self.refusals["lineage"]  # what a run will find is not known yet

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        return any(_ATTENDS.search(type(part).__name__) for part in module.modules())

    def expect(self, size: Size) -> None:
        super().expect(size)
        self.refusals.pop("lineage", None)
        reason = self.reader.graph(size)
        if isinstance(reason, str) and not isinstance(reason, NotRun):
            self.refusals["lineage"] = reason

    def products(self, x: torch.Tensor) -> dict[int, bool]:
        return self.reader.products((int(x.shape[2]), int(x.shape[3])))

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        if "lineage" in self.refusals:
            raise MethodError(self.refusals["lineage"])
        return self.reader.lineage(recording, size, windows)
