"""A report as one HTML file that needs nothing else: styles, scripts, numbers and pictures are in it."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLE = Path(__file__).parent / "html_page.css"


def html_page(title: str, body: str, *, css: str, data: dict[str, Any] | None = None, scripts: Sequence[str] = (), head: str = "") -> str:
    """The whole file as text, opened without a network: ``body`` under the styles that reports share and then ``css``.

    ``data`` is what a script finds as JSON in the element ``data``; ``head`` is a script that runs before the body.
    """
    style = _STYLE.read_text(encoding="utf-8") + css
    opening = f"<script>{head}</script>" if head else ""
    numbers = "" if data is None else f'<script type="application/json" id="data">{script_json(data)}</script>\n'
    closing = "\n".join(scripts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title>\n<style>{style}</style>\n{opening}</head>\n"
        f"<body><main>{body}</main>\n{numbers}{closing}</body></html>\n"
    )


def escaped(plain: object) -> str:
    """A text that may stand in HTML."""
    return html.escape(str(plain))


def png_address(image: np.ndarray) -> str:
    """An image uint8 (H, W, 3) as the data address of a PNG."""
    from vizlib.figures.overlay import encode_png

    return f"data:image/png;base64,{base64.b64encode(encode_png(image)).decode()}"


def jpeg_address(image: np.ndarray, quality: int = 80) -> str:
    """An image uint8 (H, W, 3) as the data address of a JPEG."""
    from vizlib.figures.overlay import encode_jpeg

    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(image, quality)).decode()}"


def script_json(data: dict[str, Any]) -> str:
    """JSON that may stand inside a script element: uint8 (H, W, 3) as a PNG, other uint8 as base64, plotly figures as their JSON."""
    return json.dumps(data, default=_json_default, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _json_default(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return png_address(value) if value.ndim == 3 else base64.b64encode(value.tobytes()).decode()
    if hasattr(value, "to_plotly_json"):
        return json.loads(value.to_json())
    raise TypeError(f"a {type(value).__name__} is not written")
