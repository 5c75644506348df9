"""Any network with attention: where it looks is found by running its own code on place numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from vizlib.zoo.adapters.place_reader import NotRun
from vizlib.zoo.adapters.timm.convnets import PlainAdapter

if TYPE_CHECKING:
    from torch import nn

    from vizlib.zoo.adapters.base import Size
    from vizlib.zoo.adapters.part import PartAdapter

_ATTENDS = re.compile(r"attn|attention|transformer|mhsa|shma|mla$|sa$", re.IGNORECASE)


class TracedAdapter(PlainAdapter):
    """Convolutions, pools and merged patches are uniform windows; a sum is a residual where one side attends, else half of each side.

    What scales (norms, gates, softmax over channels) carries nothing; maxima spread evenly; padding is left out of windows, and as a key
    of attention it ends in the sink, as learned tokens do. Heads that are mixed after the softmax take shares by the magnitude of the
    weights that their values meet, each row scaled to 1. The last feature map is read where the model says which one it is.
    """

    family = "traced"
    in_place_of: PartAdapter | None = None  # the reading of a part that was not enough
    without_tracing: ClassVar[dict[str, str]] = {}  # whether what attends can be followed, a run says

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        return any(_ATTENDS.search(type(part).__name__) for part in module.modules())

    def expect(self, size: Size) -> None:
        super().expect(size)
        self.refusals.pop("lineage", None)
        reason = self.reader.graph(size)
        if isinstance(reason, str) and not isinstance(reason, NotRun):
            self.refusals["lineage"] = reason
        elif not isinstance(reason, str):
            self._expect_keys(reason, size)
            self._expect_layers(size)
