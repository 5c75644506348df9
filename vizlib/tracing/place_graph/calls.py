"""One call of a torch function while a network runs on place numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vizlib.tracing.place_graph.marks import mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vizlib.tracing.place_graph.marks import Mark


@dataclass(frozen=True, eq=False)
class Call:
    """The function, what it was given and gave, the number of products before it, and the path of the module that called it."""

    name: str
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    number: int
    path: str

    @property
    def where(self) -> str:
        """For the words of a refusal."""
        return f"{self.name} in {self.path or 'the network'}"

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by position or name."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    def mark(self, position: int) -> Mark | None:
        """The mark of a positional argument."""
        return mark_of(self.args[position]) if len(self.args) > position else None

    def on_index(self, index: torch.Tensor) -> Any:
        """What the function gives for place numbers in place of its first argument."""
        if self.name == "view":  # numbers that do not change along an axis lie in memory as views cannot take them
            return index.reshape(self.output.shape)
        return self.func(index, *self.args[1:], **{key: value for key, value in self.kwargs.items() if key not in ("input", "dtype")})


def tensors(values: Any) -> Iterator[torch.Tensor]:
    """Every tensor in nested tuples, lists and dictionaries."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from tensors(value)
    elif isinstance(values, tuple | list):
        for value in values:
            yield from tensors(value)
