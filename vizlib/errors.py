"""Every error that vizlib raises on purpose: one sentence that says what was wrong, with which input, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


class VizlibError(Exception):
    """The base of all of vizlib's errors."""


class ImageError(VizlibError):
    """An input that is not an image vizlib can read, said so that a visitor understands it."""


class ModelError(VizlibError):
    """A model that cannot be found, built, wrapped or run as asked."""


class CheckpointError(ModelError):
    """A weights file that cannot be read safely or does not fit the architecture."""


class DownloadError(ModelError):
    """Weights that could not be fetched whole; nothing half-written is left behind."""


class DeviceError(ModelError):
    """A device that is missing, or too small for the model."""


class CardFullError(DeviceError):
    """A card whose memory does not suffice for what was asked, even one image at a time."""


class MethodError(VizlibError):
    """A method that is unknown, does not fit the model, or was given an option it cannot take."""


class TargetError(VizlibError):
    """A target class that the model does not have."""


class TextError(VizlibError):
    """A text that a translator cannot read: empty, too long, or with characters that it never learned."""


class TrainingError(VizlibError):
    """A data set, recipe or run folder that training cannot use."""


class ExamError(VizlibError):
    """An exam that is unknown, or that cannot be held with these pictures."""


class AuditError(VizlibError):
    """A data set that cannot be gone through, or a folder that holds another audit."""


class CancelledError(VizlibError):
    """Work that was stopped because nobody waits for its result any more."""


def whole_number(value: object, name: str, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``; MethodError, with the argument's ``name``, for all else."""
    index = getattr(value, "__index__", None)
    try:
        number = None if index is None or isinstance(value, bool) else int(index())
    except (TypeError, ValueError):  # an array of several numbers
        number = None
    if number is None or not least <= number <= most:
        raise MethodError(f"{name} is a whole number from {least:,} to {most:,}, not {str(value)[:40]!r}.")
    return number


def names_of(values: object, name: str, known: Collection[str], what: str) -> list[str]:
    """A list of names that are all ``known``; MethodError, with the nearest of ``what`` there is, for another or for what is no list."""
    if not isinstance(values, list | tuple | set | frozenset | dict):
        raise MethodError(f"{name} is a list of names, such as {list(known)[:2]!r}, not {str(values)[:40]!r}.")
    for value in values:
        if not isinstance(value, str) or value not in known:
            raise MethodError(f"There is no {what} {str(value)[:40]!r}; there are {', '.join(known)}.{nearest(str(value), list(known))}")
    return list(values)


def nearest(word: str, names: list[str], count: int = 3) -> str:
    """The end of an error sentence: the known names closest to ``word``, or nothing when none is close."""
    import difflib

    by_key = {name.lower(): name for name in names}
    close = [by_key[key] for key in difflib.get_close_matches(word.lower(), list(by_key), n=count, cutoff=0.5)]
    return f" Did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
