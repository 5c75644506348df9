"""The table of families: what can be read of one small variant of each module with attention, and why not where it cannot.

``python -m vizlib.model_report.family_table`` measures it and writes vizlib/catalog/family_table.json and docs/families.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vizlib
from vizlib.catalog.attention_variants import TORCHVISION, VARIANTS
from vizlib.catalog.family import NO_HEAD
from vizlib.catalog.family_table import TABLE, as_markdown
from vizlib.catalog.transformers_variants import FACTS, TOWERS_ALONE
from vizlib.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

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


def transformers_model(name: str, facts: dict[str, Any]) -> nn.Module:
    """A model class of transformers with a tiny config of these facts; ImportError where it needs a package of its own."""
    import transformers

    kind = getattr(transformers, name)
    own = {"num_labels": 7} if name in FACTS else {}
    module: nn.Module = kind(kind.config_class(**own, **facts))
    return module.eval()


def transformers_row(name: str) -> dict[str, Any]:
    """What can be read of a tiny model of transformers; of one that vizlib does not take the reason why."""
    import transformers

    home = getattr(transformers, name).__module__.split(".")[-2]
    try:
        module = transformers_model(name, (FACTS | TOWERS_ALONE)[name])
        return _row("transformers", home, name, vizlib.wrap(module, input_size=64))
    except ImportError:
        reason = "not measured: it needs a package beside transformers that was not installed"
    except ModelError as error:
        reason = str(error).removesuffix(".")
    return {"library": "transformers", "module": home, "variant": name, "family": "none", "methods": [], "rollout": reason}


def measured() -> list[dict[str, Any]]:
    """Every row, measured now."""
    return [
        *(timm_row(variant) for variant in VARIANTS),
        *(torchvision_row(name) for name in TORCHVISION),
        *(transformers_row(name) for name in (*FACTS, *TOWERS_ALONE)),
    ]


def _row(library: str, module: str, variant: str, model: Model) -> dict[str, Any]:
    card = model.card
    by_features = [method for method, why in card.unavailable.items() if why == NO_HEAD]
    return {
        "library": library,
        "module": module,
        "variant": variant,
        "family": card.family,
        "methods": [*card.methods, *by_features],
        "rollout": card.unavailable.get("rollout"),
    }


if __name__ == "__main__":
    rows = measured()
    TABLE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    DOCUMENT.write_text(as_markdown(rows), encoding="utf-8")
