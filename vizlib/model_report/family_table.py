"""The table of families: what can be read of one small variant of each module with attention, and why not where it cannot.

``python -m vizlib.model_report.family_table`` measures it and writes vizlib/catalog/family_table.json and docs/families.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vizlib
from vizlib.catalog.attention_variants import TORCHVISION, VARIANTS
from vizlib.catalog.family_table import TABLE, as_markdown

if TYPE_CHECKING:
    from vizlib.catalog.attention_variants import Variant
    from vizlib.zoo.model import Model

DOCUMENT = Path("docs/families.md")


def timm_row(variant: Variant) -> dict[str, Any]:
    """What can be read of a timm variant."""
    import timm

    module = timm.create_model(variant.name, pretrained=False, num_classes=10, **variant.options)
    return _row("timm", variant.module, variant.name, vizlib.wrap(module.eval(), input_size=variant.size))


def torchvision_row(name: str) -> dict[str, Any]:
    """What can be read of a torchvision model."""
    import torchvision

    return _row("torchvision", name, name, vizlib.wrap(torchvision.models.get_model(name, weights=None).eval(), input_size=224))


def measured() -> list[dict[str, Any]]:
    """Every row, measured now."""
    return [timm_row(variant) for variant in VARIANTS] + [torchvision_row(name) for name in TORCHVISION]


def _row(library: str, module: str, variant: str, model: Model) -> dict[str, Any]:
    card = model.card
    return {
        "library": library,
        "module": module,
        "variant": variant,
        "family": card.family,
        "methods": list(card.methods),
        "rollout": card.unavailable.get("rollout"),
    }


if __name__ == "__main__":
    rows = measured()
    TABLE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    DOCUMENT.write_text(as_markdown(rows), encoding="utf-8")
