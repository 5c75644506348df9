"""Words drawn into a picture, in a font that has every sign of them."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

# Pillow's own font, narrow and fine to read, has little more than ASCII: these signs of ours have a like in it.
_LIKE = str.maketrans({"\u00a0": " ", "\u2011": "-", "\u2212": "-", "×": "x", "≤": "<=", "≥": ">="})
_WIDER = 0.88  # of the size, at which the other font takes as much room
_NO_SIGN = "\uffff"


def write(pen: ImageDraw, place: tuple[float, float], text: str, size: float, *, fill: str = "black", anchor: str | None = None) -> None:
    """Draw the text with every sign of it, about ``size`` pixels high."""
    words, font = legible(text, size)
    pen.text(place, words, fill=fill, font=font, anchor=anchor)


def legible(text: str, size: float) -> tuple[str, FreeTypeFont]:
    """The text, with plainer signs for a few, and a font of about ``size`` pixels that has all of them: names may be of any alphabet."""
    plainer = text.translate(_LIKE)
    if all(_has(_own_font(size), sign) for sign in set(plainer)):
        return plainer, _own_font(size)
    return text, _other_font(size * _WIDER)


@cache
def _own_font(size: float) -> FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)  # type: ignore[return-value]  # a size makes it one


@cache
def _other_font(size: float) -> FreeTypeFont:
    from PIL import ImageFont

    folder = next(iter(find_spec("matplotlib").submodule_search_locations))  # type: ignore[union-attr, arg-type]  # captum brings it
    return ImageFont.truetype(Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", size)


@cache
def _has(font: FreeTypeFont, sign: str) -> bool:
    return bytes(font.getmask(sign)) != bytes(font.getmask(_NO_SIGN))
