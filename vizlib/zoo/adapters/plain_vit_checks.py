"""Whether a declared vision transformer does what was declared: found by changing pixels, and by the gradient of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.tracing.shared_copy import hooked_copy
from vizlib.tracing.slopes import slopes_at
from vizlib.zoo.adapters.part import PROBES, noise, seen_by_part
from vizlib.zoo.heads import ANSWERS

if TYPE_CHECKING:
    from torch import nn

    from vizlib.tracing.token_grid import Grid
    from vizlib.zoo.adapters.base import Size, Tap
    from vizlib.zoo.adapters.windows import Window


def misplaced(module: nn.Module, first: str, size: Size, grid: Grid, window: Window, *, batch_first: bool) -> str | None:
    """Why the tokens that reach ``first`` are not the patches of an input (h, w) row by row: a few pixels are changed and followed."""
    x = noise(module, size)
    before = seen_by_part(module, first, x)
    wanted = (1, grid.tokens) if batch_first else (grid.tokens, 1)
    if before is None or before.ndim != 3 or tuple(before.shape[:2]) != wanted:
        order = "images, tokens, channels" if batch_first else "tokens, images, channels"
        shape = "nothing" if before is None else tuple(before.shape)
        return (
            f"{first} is given {shape} where the declaration has {grid.tokens} tokens ({grid}) of an input of {size[0]} x {size[1]}, as "
            f"({order})"
        )
    generator = torch.Generator().manual_seed(1)
    for place in torch.randint(grid.cells, (PROBES,), generator=generator).tolist():
        row, column = (
            index * stride - padding + kernel // 2
            for index, stride, padding, kernel in zip(divmod(place, grid.width), window.stride, window.padding, window.kernel, strict=True)
        )
        changed = x.clone()
        changed[:, :, row, column] += 3
        after = seen_by_part(module, first, changed)
        assert after is not None  # noqa: S101  it ran a moment ago
        moved = torch.nonzero((after - before).squeeze(0 if batch_first else 1).abs().amax(1)).flatten().tolist()
        if grid.prefix + place not in moved or (window.kernel == window.stride and moved != [grid.prefix + place]):
            return (
                f"pixel ({row}, {column}) changes the tokens {moved[:5]} that reach {first}, where the declaration has it in token "
                f"{grid.prefix + place} alone"
            )
    return None


def misread(module: nn.Module, tap: Tap, size: Size, reads: torch.Tensor, *, batch_first: bool) -> str | None:
    """Why the answer does not read the tokens of the last block that ``reads`` (tokens,) marks, and no others: by its gradient."""
    states: list[torch.Tensor] = []

    def keep(inputs: tuple[Any, ...], output: Any) -> None:
        states.append(inputs[0] if tap.side == "input" else output)

    with torch.inference_mode(mode=False), torch.enable_grad(), hooked_copy(module, [(tap.path, keep)]) as copied:
        answer = copied.eval()(noise(module, size).requires_grad_())
        answer = next((getattr(answer, name) for name in ANSWERS if hasattr(answer, name)), answer)
        if not isinstance(answer, torch.Tensor) or answer.ndim != 2 or len(states) != 1:
            return None
        weight = torch.randn(answer.shape[1], generator=torch.Generator().manual_seed(2)).to(answer)
        (slope,) = slopes_at((answer * weight).sum(), states)
    seen = torch.zeros_like(reads) if slope is None else slope.squeeze(0 if batch_first else 1).abs().amax(1).cpu() > 0
    if torch.equal(seen, reads):
        return None
    return (
        f"the answer reads {int(seen.sum())} tokens of the last block (the first of them {int(seen.int().argmax())}), where the declared "
        f"read-out has {int(reads.sum())} (the first of them {int(reads.int().argmax())})"
    )
