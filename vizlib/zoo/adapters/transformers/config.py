"""What a module of transformers says of itself in its config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.errors import MethodError
from vizlib.zoo.adapters.base import Adapter
from vizlib.zoo.heads import last_width

if TYPE_CHECKING:
    from torch import nn

    from vizlib.tracing.recorder import Recording
    from vizlib.zoo.adapters.base import Lineage, Size

# Whose weights can be had: written out, by torch's fused function, or by that in its place (vizlib.tracing.shared_copy).
READABLE = ("eager", "sdpa", "flex_attention")


def pair(value: Any) -> tuple[int, int]:
    """A number or two numbers as (vertical, horizontal)."""
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def built_for(config: Any) -> Size | None:
    """The input (h, w) of a config, None where it names none."""
    size = getattr(config, "image_size", None)
    return None if size is None else pair(size)


def unreadable_attention(config: Any) -> str | None:
    """Why the attention of a model cannot be read the way that it is set to run, None where it can."""
    way = getattr(config, "_attn_implementation", None) or "eager"
    if way in READABLE:
        return None
    return f"its attention runs as {way!r}, which keeps no weights and no scores that could be read: set_attn_implementation('sdpa')"


def class_names(module: nn.Module, classes: int) -> tuple[str, ...] | None:
    """The config's names of so many classes, None where they are the library's placeholders."""
    names = getattr(getattr(module, "config", None), "id2label", None)
    if not isinstance(names, dict) or set(names) != set(range(classes)) or not classes:
        return None
    labels = tuple(str(names[index]) for index in range(classes))
    return None if labels == tuple(f"LABEL_{index}" for index in range(classes)) else labels


class FromConfig(Adapter):
    """What models of transformers have alike: a config, a "classifier" with names of classes, attention that may be set to run unread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        reason = unreadable_attention(self.config)
        if reason is not None:
            self.refusals |= dict.fromkeys(("lineage", "layers", "keys"), reason)

    @property
    def config(self) -> Any:
        """The config of the part that is read."""
        return self.module.config

    @property
    def classes(self) -> int:
        if self.told_classes is not None:
            return self.told_classes
        head = getattr(self.module, "classifier", None)
        return 0 if head is None else last_width(head) or 0

    def labels(self) -> tuple[str, ...] | None:
        return class_names(self.module, self.classes)

    def input_size(self) -> Size | None:
        return built_for(self.config)

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        reason = unreadable_attention(self.config)
        if reason is not None:
            raise MethodError(f"{type(self.module).__name__} cannot be followed: {reason}.")
        return super().lineage(recording, size, windows)
