"""The table of families as it was last measured, and as a document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

TABLE: Final = Path(__file__).with_name("family_table.json")
_ATTENTION = ("rollout", "attention", "gradient_rollout", "relevance", "legrad", "grad_cam", "leave_one_out")
_HEAD = """# Families of timm, torchvision and transformers

Which methods fit which architecture, and why there is no rollout where there is none. One small variant was wrapped of each timm module
with self-attention, of torchvision's networks with attention, and of every image classifier of transformers; of transformers' towers
without a head too, where methods that need a class take a function of the features as the target. The methods that need only an input
and an answer (saliency, integrated gradients, occlusion, RISE, LIME, ...) are not listed: they fit every model that takes a picture.

The column *family* says how vizlib reads the model: by the adapter of that name; as `traced`, by running its code (the next section);
`other` has no attention that its answer is read through, and `none` could not be wrapped. *beside it* lists the other methods that read
attention or feature maps. The page is written by `python -m vizlib.model_report.family_table`, and `vizlib models --families` prints it.

## How a network is read that has no adapter of its own

Its own code runs once for each input size, on two inputs, and beside every number goes the number of the place where it stands.

- A convolution, a pool (a maximum too) or a linear layer over stacked patches is a **window**: equal shares of the cells that it covers,
  padding left out. Resampling has the shares of its weights, by magnitude.
- An **attention** is where rows that are positive and sum to 1 are multiplied with values; what was done to the rows after the softmax
  counts too. Where heads are mixed after it (talking heads) these rows have any sign and sum: a key's share is by the magnitude of its
  weight, head by head.
- A **sum** is a residual where one side comes through an attention that the other does not: the skip has the residual's weight, the
  branch the rest. Any other sum, a difference too, has half from each side; so an inverted residual block keeps half of each cell.
- **LeGrad** lets the head read what each block gives; the head is all that the network does after its last block. Where blocks give tokens
  of other sizes than the last, as those of a pyramid do, it is refused.
- Norms, gates and shares of channels **scale** and carry nothing from place to place. What ends in learned tokens, or in padding that
  serves as a key, goes to the **sink**.
- Anything else is **refused** with its name: products of two streams, attention between channels, linear attention.

| library | module | variant | family | rollout | beside it |
| --- | --- | --- | --- | --- | --- |
"""


def family_table() -> list[dict[str, Any]]:
    """Its rows: library, module, variant, family, methods, and under "rollout" why there is none, or None."""
    rows: list[dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return rows


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The document that docs/families.md is."""
    lines = []
    for row in rows:
        beside = ", ".join(name for name in _ATTENTION[1:] if name in row["methods"])
        rollout = "yes" if row["rollout"] is None else f"no: {row['rollout']}"
        lines.append(f"| {row['library']} | {row['module']} | {row['variant']} | {row['family']} | {rollout} | {beside} |")
    return _HEAD + "\n".join(lines) + "\n"
