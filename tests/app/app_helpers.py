"""What the tests of the app share: reading what a page sent to the browser, and pictures to hand in."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vizlib.ui.core import message_codec

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]


def settled(at: AppTest) -> AppTest:
    """A page after all it asked for has ended, drawn again where it had not waited for that."""
    assert not at.exception
    jobs = [job for _, job in at.session_state["job_slots.slots"].values()] if "job_slots.slots" in at.session_state else []
    for job in jobs:
        job.wait(300)
    if jobs:
        at.run()
        assert not at.exception
    return at


def messages(at: AppTest, name: str) -> list[bytes]:
    """What the page sent to each component of this name."""
    return [one.proto.bytes for one in at.get("bidi_component") if one.proto.component_name == f"vizlib_{name}"]


def said(at: AppTest) -> str:
    """The words on a page, without the links that open the meaning of one."""
    text = "\n".join(one.value for kind in (at.markdown, at.info, at.error, at.caption, at.warning) for one in kind)
    return re.sub(r"\[([^\]]*)\]\(#word-[^)]*\)", r"\1", text)


def components(at: AppTest, name: str) -> list[Any]:
    """What the page sent to each component of this name: bytes, or the header where that is all there is."""
    return [data if name == "photo_map" else header_alone(data) for data in messages(at, name)]


def header_alone(data: bytes) -> dict[str, Any]:
    """The header of a message that brings no arrays."""
    header, arrays = message_codec.unpack(data)
    assert arrays == {}
    return header


def unpack(payload: bytes) -> tuple[dict[str, Any], np.ndarray | None, np.ndarray]:
    """The header, the map and the photograph of a packed photo map: what the browser reads out of it."""
    header, arrays = message_codec.unpack(payload)
    values = arrays.get("values")
    assert (values is None) == ("input" not in header)
    if values is not None:
        assert values.dtype == np.float32
        assert values.shape == tuple(header["input"])
        assert arrays["tables"].size == 768 * len(header["colormaps"])
    return header, values, np.asarray(Image.open(io.BytesIO(arrays["photo"].tobytes())))


def maps(at: AppTest) -> list[tuple[dict[str, Any], np.ndarray | None, np.ndarray]]:
    return [unpack(payload) for payload in components(at, "photo_map")]


def image_bytes(size: tuple[int, int] = (120, 80), mode: str = "RGB", kind: str = "PNG", **options: Any) -> bytes:
    """A picture (width, height) of noise."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0]) if channels == 1 else (size[1], size[0], channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, kind, **options)
    return buffer.getvalue()
