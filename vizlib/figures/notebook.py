"""What a notebook shows of a result: small tables and pictures as HTML, every word of it escaped."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

WIDEST = 480  # pixels of a picture in a notebook
_CAPTION = "font: 12px/1.4 system-ui, sans-serif; margin: 4px 0 0"
_CELL = "text-align: left; vertical-align: top; padding: 2px 12px 2px 0"


def picture_html(picture: np.ndarray, lines: Sequence[str], widest: int = WIDEST) -> str:
    """A picture uint8 (H, W, 3), made smaller where it is wider than ``widest`` pixels, over its lines of text."""
    from PIL import Image

    from vizlib.figures.overlay import encode_png

    height, width = picture.shape[:2]
    if width > widest:
        import numpy as np

        size = (widest, max(1, round(height * widest / width)))
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    data = base64.b64encode(encode_png(picture)).decode()
    text = "<br>".join(escape(line) for line in lines)
    image = f'<img src="data:image/png;base64,{data}" alt="{escape(lines[0], quote=True)}" style="max-width: 100%">'
    return f'<figure style="margin: 0; max-width: {widest}px">{image}<figcaption style="{_CAPTION}">{text}</figcaption></figure>'


def gallery_html(pictures: Iterable[str], rest: int = 0) -> str:
    """Pictures side by side, as many in a row as there is room for, and how many more there are."""
    more = f'<p style="{_CAPTION}">… and {rest:,} more</p>' if rest else ""
    return f'<div style="display: flex; flex-wrap: wrap; gap: 12px">{"".join(pictures)}</div>{more}'


def table_html(title: str, rows: Iterable[Sequence[object]], headings: Sequence[str] = ()) -> str:
    """A small table under its title."""
    head = _row("th", headings) if headings else ""
    body = "".join(_row("td", row) for row in rows)
    return f'<p style="{_CAPTION}"><strong>{escape(title)}</strong></p><table style="{_CAPTION}">{head}{body}</table>'


def _row(tag: str, cells: Iterable[object]) -> str:
    inside = "".join(f'<{tag} style="{_CELL}">{escape(str(cell))}</{tag}>' for cell in cells)
    return f"<tr>{inside}</tr>"
