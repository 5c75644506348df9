"""Anything a person may hand in, as upright RGB; the geometry between image and model pixels is re-exported from here."""

from __future__ import annotations

import io
import os
import re
import struct
import threading
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from vizlib.errors import ImageError
from vizlib.geometry import FITS, Geometry, Transform
from vizlib.images.jpeg_markers import reaches_its_end, repaints_too_often

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["FITS", "MAX_PIXELS", "Geometry", "Transform", "read_image"]

MAX_PIXELS = 40_000_000
# Of files that are taken for pictures when a folder is searched; what a file holds is read from the file.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif"}
)


def is_picture(path: Path) -> bool:
    """Whether a path in a folder is a picture by its ending; hidden files are none, as the companions that some systems write."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir()


ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | np.ndarray

# Raster formats with a signature and a decoder that runs no other program and follows no reference.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_FORMATS_IN_WORDS = "JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, JPEG 2000 or AVIF"
_SIGNATURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG|RIFF....WEBP|GIF8|BM|II\*\0|MM\0\*|II\+\0|MM\0\+|P[1-6]\s|\xff\x4f\xff\x51|\0\0\0\x0cjP  |....ftypavi[fs]",
    re.DOTALL,
)
# What Pillow's decoders are known to raise on damaged or hostile files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
# What people upload instead of a photograph; looked for only in files that no decoder knows.
_OTHER_KINDS = (
    (rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", "is an HEIC picture, which vizlib does not read: save or export it as JPEG"),
    (rb"(\0\0\0\x0cJXL |\xff\x0a)", "is a JPEG XL picture, which vizlib does not read: save or export it as JPEG or PNG"),
    (rb"%PDF", "is a PDF document, not an image: save the picture in it as PNG or JPEG"),
    (rb"(%!PS|\xc5\xd0\xd3\xc6)", "is a PostScript drawing, not an image: export it as PNG or JPEG"),
    (rb"(\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF)", "is a Windows metafile drawing, not an image: export it as PNG or JPEG"),
    (rb"[\s\xef\xbb\xbf]*(<!doctype html|<html)", "is a web page, not an image: save the picture on it and choose that file"),
    (rb".{0,1024}<svg[\s>]", "is an SVG drawing, not an image of pixels: export it as PNG or JPEG"),
    (rb"(PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!)", "is a compressed archive, not an image: unpack it and choose one picture"),
    (rb"(....ftyp|RIFF....AVI |\x1aE\xdf\xa3)", "is a video, not an image: save one frame of it as PNG or JPEG"),
)
_TURNS = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image.swapaxes(0, 1)[::-1],
}
_ORIENTATION_TAG, _BITS_TAG = 0x0112, 0x0102


def read_image(source: ImageSource) -> np.ndarray:
    """Any image as upright RGB: uint8 (H, W, 3), a fresh array.

    ``source`` is a path, the bytes of a file, an open binary file, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
    of uint8, uint16, bool or floats from 0 to 1. EXIF orientation is applied, transparency laid over white, 16 bits scaled to 8,
    CMYK and colour profiles turned into sRGB, and the first frame of an animation taken (of a PIL image: its current frame).
    Raises ImageError, in one sentence, for anything else: not an image, damaged, empty, over 40 megapixels, drawings and documents.
    """
    return read_with_scaling(source)[0]


def read_with_scaling(source: ImageSource, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, str]:
    """``read_image``, and one sentence on how more than 8 bits became 8; empty where nothing was scaled.

    ``max_pixels`` bounds the picture in bytes of a file. Decoding is bounded by this and, of a JPEG, by the number of its scans.
    """
    if isinstance(source, np.ndarray):
        return _read_array(source), _of_array(source)
    if isinstance(source, Image.Image):
        with _quiet_pillow:
            return _decode(source, "The image")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _read_stream(io.BytesIO(source), "The image", max_pixels)
    if isinstance(source, (str, os.PathLike)):
        return _read_path(os.fspath(source))
    if hasattr(source, "read"):
        return _read_file(source)
    kind = type(source).__name__
    raise ImageError(f"vizlib cannot read an image from a {kind}: pass a path, bytes, an open file, a PIL image or a NumPy array.")


def _read_path(location: str | bytes) -> tuple[np.ndarray, str]:
    path = Path(os.fsdecode(location))
    name = repr(path.name or str(path))
    if re.match(r"https?:[/\\]", str(path)):
        raise ImageError(f"{str(location)!r} is a web address: download the picture and choose the file.")
    try:
        if path.is_dir():
            raise ImageError(f"{name} is a folder: choose one image file in it.")
        if not path.exists():
            raise ImageError(f"There is no file {str(path)!r}: check the name and the folder.")
        # Reading a pipe or a device could wait for ever.
        if not path.is_file():
            raise ImageError(f"{name} is not a regular file: choose an image file.")
        with path.open("rb") as stream:
            return _read_stream(stream, name)
    except PermissionError as error:
        raise ImageError(f"{name} may not be read: ask for permission to read the file, or choose another one.") from error
    except OSError as error:
        raise ImageError(
            f"{name} could not be opened ({error.strerror or error}): check the name and the disk, or choose another."
        ) from error


def _read_file(file: Any) -> tuple[np.ndarray, str]:
    name = getattr(file, "name", None)
    name = repr(Path(name).name) if isinstance(name, str) else "The image"
    try:
        # An upload keeps its position between two readings.
        if hasattr(file, "seek") and getattr(file, "seekable", lambda: True)():
            file.seek(0)
        content = file.read()
    except (OSError, ValueError) as error:
        raise ImageError(f"{name} could not be read: open the file again in binary mode.") from error
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise ImageError(f"{name} was opened as text: open the file in binary mode, with open(path, 'rb').")
    return _read_stream(io.BytesIO(content), name)


def _read_stream(stream: IO[bytes], name: str, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, str]:
    start = stream.read(4096)
    if not start:
        raise ImageError(f"{name} is empty: choose another file, or download it again.")
    try:
        with _quiet_pillow, Image.open(stream, formats=_FORMATS) as image:
            jpeg = _content(stream) if image.format in ("JPEG", "MPO") else b""
            if repaints_too_often(jpeg, image.width * image.height):
                raise ImageError(
                    f"{name} is a JPEG of more passes over the picture than are decoded here: save it anew as an ordinary JPEG."
                )
            pixels, scaling = _decode(image, name, max_pixels)
            if jpeg and not reaches_its_end(jpeg):
                raise ImageError(_damaged(name))
            return pixels, scaling
    except Image.DecompressionBombError as error:
        raise ImageError(_too_large(name, max_pixels)) from error
    except UnidentifiedImageError as error:
        raise ImageError(_why_unknown(name, start)) from error
    except _DAMAGE as error:
        raise ImageError(_damaged(name, error)) from error


def _content(stream: IO[bytes]) -> bytes:
    position = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(position)
    return content


def _why_unknown(name: str, start: bytes) -> str:
    if _SIGNATURES.match(start):
        return _damaged(name)
    for pattern, sentence in _OTHER_KINDS:
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return f"{name} {sentence} and try again."
    return f"{name} is not an image that vizlib reads: choose a {_FORMATS_IN_WORDS} file."


def _damaged(name: str, error: BaseException | None = None) -> str:
    if isinstance(error, MemoryError):
        return f"{name} does not fit into memory: make it smaller and try again."
    return f"{name} is damaged or cut short: download or export it again."


def _too_large(name: str, most: int, size: tuple[int, int] | None = None) -> str:
    measure = f"has {size[0]} x {size[1]} pixels, more than" if size else "has more than"
    side = min(4000, int(most**0.5) // 100 * 100 or 10)
    return f"{name} {measure} {most / 1e6:g} megapixels: make it smaller, for instance {side} pixels on its long side, and try again."


def _check_size(width: int, height: int, name: str, most: int = MAX_PIXELS) -> None:
    if min(width, height) < 1:
        raise ImageError(f"{name} is empty ({width} x {height} pixels): choose another one.")
    if width * height > most:
        raise ImageError(_too_large(name, most, (width, height)))


def _decode(image: Image.Image, name: str, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, str]:
    """The pixels of an opened image, upright, and how they were scaled; its size is checked before anything is decoded."""
    _check_size(*image.size, name, max_pixels)
    try:
        image.load()
        _check_size(*image.size, name, max_pixels)
        pixels, scaling = _from_deep_grey(image, name) if image.mode[0] in "IF" else (np.asarray(_to_rgb(image)), "")
        turn = _TURNS.get(_orientation(image))
    except Image.DecompressionBombError as error:
        raise ImageError(_too_large(name, max_pixels)) from error
    except _DAMAGE as error:
        raise ImageError(_damaged(name, error)) from error
    return np.array(turn(pixels) if turn else pixels, dtype=np.uint8, order="C"), scaling


def _orientation(image: Image.Image) -> int:
    # Broken EXIF does not make the picture unreadable; it is then shown as stored.
    with suppress(*_DAMAGE):
        value = image.getexif().get(_ORIENTATION_TAG, 1)
        return value if isinstance(value, int) else 1
    return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not image.has_transparency_data:
        return _to_srgb(image, profile)
    layered = image.convert("RGBA")
    picture = Image.new("RGB", image.size, (255, 255, 255))
    picture.paste(_to_srgb(layered.convert("RGB"), profile), mask=layered.getchannel("A"))
    return picture


def _to_srgb(image: Image.Image, profile: Any) -> Image.Image:
    if image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    # A broken profile, or one for another kind of colour, is ignored.
    with suppress(ImageCms.PyCMSError, *_DAMAGE):
        if isinstance(profile, bytes) and profile:
            embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            # Most profiles are sRGB itself; converting those would only add rounding.
            already_srgb = "srgb" in (embedded.profile.profile_description or "").lower()
            if not already_srgb:
                converted = ImageCms.profileToProfile(image, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB")
                image = converted or image
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image, name: str) -> tuple[np.ndarray, str]:
    """Grey of 16 or 32 bits or floats as RGB, and how it was scaled; a range that the mode does not tell is taken from the values."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        bits = _bits_per_sample(image)
        top = (1 << bits) - 1 if 8 < bits < 16 else 65535
        grey, scaling = _scale_integers(values, top), _scaled(0, top, values)
    elif image.mode == "I" and values.min() >= 0 and values.max() <= 65535:
        # Pillow holds 16-bit files in this mode, and 8-bit images converted to it.
        top = 65535 if values.max() > 255 else 255
        grey, scaling = _scale_integers(values, top), _scaled(0, top, values)
    else:
        grey, low, high = _scale_floats(values.astype(np.float32), name)
        scaling = _scaled(low, high, values)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey = np.where(values == transparent, np.uint8(255), grey)
    return np.repeat(grey[..., None], 3, axis=2), scaling


def _scaled(low: float, high: float, values: np.ndarray) -> str:
    """How values from ``low`` to ``high`` became 0 to 255, and what of that range the picture uses."""
    if (low, high) == (0, 255):
        return ""
    least, most = values.min(), values.max()
    return f"Its values from {low:,g} to {high:,g} are shown as 0 to 255; those of this picture go from {least:,g} to {most:,g}."


def _of_array(array: np.ndarray) -> str:
    return _scaled(0, 65535, array) if array.dtype == np.uint16 else ""


def _bits_per_sample(image: Image.Image) -> int:
    bits = getattr(image, "tag_v2", {}).get(_BITS_TAG, 16)
    bits = bits[0] if isinstance(bits, tuple) and bits else bits
    return bits if isinstance(bits, int) else 16


def _scale_integers(values: np.ndarray, top: int) -> np.ndarray:
    levels = (np.arange(65536, dtype=np.uint32) * 255 + top // 2) // top
    return np.minimum(levels, 255).astype(np.uint8)[values]


def _scale_floats(values: np.ndarray, name: str) -> tuple[np.ndarray, float, float]:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise ImageError(f"{name} holds values that are not numbers: replace NaN and infinite pixels and save it again.")
    if low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    scaled = (values - np.float32(low)) * np.float32(255 / (high - low) if high > low else 0)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8), low, high


def _read_array(array: np.ndarray) -> np.ndarray:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"The array has shape {array.shape}, not that of an image: {_shape_advice(array.shape)}.")
    _check_size(array.shape[1], array.shape[0], "The array")
    pixels = _eight_bits(np.asarray(array if array.ndim == 3 else array[..., None]))
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.uint16)
        pixels = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), order="C")


def _shape_advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        return "move the channels last, with array.transpose(1, 2, 0)"
    if len(shape) == 4:
        return "pass the images of a batch one at a time, channels last"
    return "pass (height, width) or (height, width, 3)"


def _eight_bits(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return _scale_integers(array, 65535)
    if array.dtype.kind != "f":
        raise ImageError(f"The array holds {array.dtype}: convert it to uint8 from 0 to 255, or to floats from 0 to 1.")
    low, high = float(array.min()), float(array.max())
    if not np.isfinite(low + high):
        raise ImageError("The array holds NaN or infinite values: replace them first, for instance with np.nan_to_num.")
    # Resizing in floats overshoots by rounding; that much is forgiven.
    if low < -1e-6 or high > 1 + 1e-6:
        raise ImageError(f"The array holds floats from {low:g} to {high:g}: scale them to 0 to 1, or pass uint8.")
    return np.rint(np.clip(array.astype(np.float32, copy=False), 0, 1) * np.float32(255)).astype(np.uint8)


class _QuietPillow:
    """Silences Pillow's warnings about odd files while any thread reads one: what matters in them is said as an ImageError.

    One shared saved state for all readers, since saving and restoring warning filters from overlapping threads would lose them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._saved = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._readers += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._saved.__exit__(kind, error, trace)


_quiet_pillow = _QuietPillow()
