"""Models that the user's own code makes, named as ``module:function``."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.errors import ModelError, VizlibError, nearest

if TYPE_CHECKING:
    import torch

    from vizlib.zoo.model import Model

CODE_VARIABLE = "VIZLIB_APP_MODELS"  # by which `vizlib app --model` tells its server, several parted by commas
_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def is_reference(name: str) -> bool:
    """Whether a model's name is ``module:function`` (or ``package.module:object``), the user's own code."""
    return _REFERENCE.fullmatch(name) is not None


def load_code(
    reference: str, *, device: str = "auto", dtype: torch.dtype | str | None = None, image_size: int | tuple[int, int] | None = None,
    **options: Any,
) -> Model:  # fmt: skip
    """The model that ``module:function`` gives: a torch module or a ``vizlib.Model``, or a function without arguments that returns one.

    The module is imported as Python does it, the current folder first: this runs the user's code, so ``reference`` must be the user's
    own word. The rest is as of ``vizlib.wrap``. ModelError says what went wrong in that code, with its line.
    """
    import torch

    from vizlib.zoo.load import pick_device, precision, wrap
    from vizlib.zoo.model import Model

    where = pick_device(device)
    built = _built(reference)
    if isinstance(built, Model):
        if image_size is not None or any(value is not None for value in options.values()):
            raise ModelError(f"{reference} gives a vizlib.Model with its labels, classes and size: give them to vizlib.wrap there.")
        module, model = built.module, built
    elif isinstance(built, torch.nn.Module):
        module, model = built, None
    else:
        raise ModelError(f"{reference} gives a value of type {type(built).__name__}; it has to give a torch module or a vizlib.Model.")
    module.to(device=where, dtype=None if dtype is None else precision(dtype))
    model = model or wrap(module, input_size=image_size, **options)
    return replace(model, card=replace(model.card, name=reference, title=f"{reference.rpartition(':')[2]} ({type(module).__name__})"))


def _built(reference: str) -> Any:
    module_name, _, attribute = reference.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        target: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise ModelError(f"There is no module {error.name!r} in {Path.cwd()} or where Python looks for modules.") from error
        raise _failed(reference, error) from error
    except Exception as error:
        raise _failed(reference, error) from error
    for part in attribute.split("."):
        if not hasattr(target, part):
            raise ModelError(f"{module_name} has no {attribute!r}.{nearest(part, [name for name in dir(target) if name[0] != '_'])}")
        target = getattr(target, part)
    return _called(reference, target)


def _called(reference: str, target: Any) -> Any:
    import torch

    from vizlib.zoo.model import Model

    if isinstance(target, torch.nn.Module | Model) or not callable(target):
        return target
    try:
        return target()
    except VizlibError:
        raise
    except Exception as error:
        raise _failed(reference, error) from error


def _failed(reference: str, error: Exception) -> ModelError:
    """The user's own error in one sentence, with the line of their code where it rose."""
    place, step = "", error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if not file.startswith("<") and Path(file).resolve() != Path(__file__).resolve():
            place = f" (line {step.tb_lineno} of {Path(file).name})"
        step = step.tb_next
    text = str(error).splitlines()[0] if str(error) else ""
    return ModelError(f"{reference} raised {type(error).__name__}{place}{f': {text}' if text else ''}.")
