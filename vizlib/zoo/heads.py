"""How many classes a module answers in, read from the head that it has now, not from what was declared when it was built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vizlib.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

OutputChoice = str | int | Callable[[Any], "torch.Tensor"]

ANSWERS = ("logits", "image_embeds", "pooler_output")  # which output of several is the answer, the first that is there
_HEADS = ("fc", "classifier", "head", "heads")  # as torchvision, transformers and most hand-written models call it


def answer_in(output: Any) -> Any:
    """The tensor of a module's output that answers: itself, of a record or a mapping the first of ANSWERS or the one tensor (B, K).

    The output as it is where there is none.
    """
    from torch import Tensor

    if isinstance(output, Tensor):
        return output
    values = {name: output.get(name) if isinstance(output, Mapping) else getattr(output, name, None) for name in ANSWERS}
    answer = next((value for value in values.values() if isinstance(value, Tensor)), None)
    if answer is not None or not isinstance(output, Mapping):
        return output if answer is None else answer
    tensors = [value for value in output.values() if isinstance(value, Tensor)]
    return tensors[0] if len(tensors) == 1 and tensors[0].ndim == 2 else output


def chosen_output(output: Any, wanted: OutputChoice | None, name: str) -> Any:
    """Of the output of a module called ``name`` what ``wanted`` names: a key, an index, an attribute's name or a function of it.

    Without it what answers by itself; ModelError where there is none of that name.
    """
    if wanted is None:
        return answer_in(output)
    if callable(wanted):
        return wanted(output)
    try:
        return output[wanted] if isinstance(wanted, int) or isinstance(output, Mapping) else getattr(output, wanted)
    except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{name} gives a {type(output).__name__}, which has no {wanted!r}; name another of its outputs.") from error


def head_classes(module: nn.Module) -> int | None:
    """The width of the last layer of the module's head, 0 for a head without layers, None where no head is known."""
    head = _head(module)
    return None if head is None else last_width(head) or 0


def last_width(module: nn.Module, outside: nn.Module | None = None) -> int | None:
    """The width of the last linear or convolutional layer inside, else of the last matrix, in the order of registration; None without any.

    The layers of a part, ``outside``, do not count.
    """
    others = set() if outside is None else {id(part) for part in outside.modules()}
    # Quantised layers are of other classes and name their width alike.
    widths = [getattr(part, "out_features", getattr(part, "out_channels", None)) for part in module.modules() if id(part) not in others]
    whole = [width for width in widths if isinstance(width, int)]
    if whole:
        return whole[-1]
    # Traced and exported modules have no layers with a width of their own any more, and some heads keep a plain matrix.
    matrices = [tensor for tensor in module.parameters() if tensor.ndim in (2, 4)] if outside is None else []
    return len(matrices[-1]) if matrices else None


def input_channels(module: nn.Module) -> int:
    """The channels of the first convolution in the order of registration; 3 where there is none."""
    from torch import nn

    return next((part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)), 3)


def _head(module: nn.Module) -> nn.Module | None:
    from torch import nn

    get: Any = getattr(module, "get_classifier", None)
    if callable(get):
        head = get()
        head = head[0] if isinstance(head, tuple) else head  # a distilled DeiT has two alike
        if isinstance(head, nn.Module):
            return head
    return next((part for name in _HEADS if isinstance(part := getattr(module, name, None), nn.Module)), None)
