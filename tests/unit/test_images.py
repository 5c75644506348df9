"""vizlib.images.read_image: everything a person may hand in becomes upright RGB or one clear sentence."""

from __future__ import annotations

import io
import os
import random
import struct
import sys
import threading
import tracemalloc
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageFile, PngImagePlugin

from vizlib.errors import ImageError, VizlibError
from vizlib.images import MAX_PIXELS, read_image, read_with_scaling

ORIENTATION = 0x0112


def picture(height: int = 24, width: int = 36) -> np.ndarray:
    """Smooth, so that JPEG keeps it, and different in all four corners."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 255 // (height - 1), x * 255 // (width - 1), np.full_like(x, 60)], axis=-1).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int, rest: bytes = b"") -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + rest


def refused(source, *words: str) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(source)
    sentence = str(caught.value)
    for word in words:
        assert word in sentence, sentence
    assert sentence.endswith(".")
    assert ". " not in sentence, "more than one sentence"
    assert "PIL" not in sentence.replace("a PIL image", ""), "Pillow's words leaked"
    return sentence


def assert_image(result: np.ndarray, height: int, width: int) -> None:
    assert type(result) is np.ndarray
    assert result.dtype == np.uint8
    assert result.shape == (height, width, 3)
    assert result.flags.c_contiguous
    assert result.flags.writeable


# Where a picture may come from


def test_every_kind_of_source_gives_the_same_pixels(tmp_path):
    content = encoded(picture(), "PNG")
    path = tmp_path / "cat.png"
    path.write_bytes(content)
    late = io.BytesIO(content)
    late.read()
    with path.open("rb") as handle, Image.open(path) as opened:
        sources = [str(path), path, content, bytearray(content), memoryview(content), io.BytesIO(content), late, handle, opened]
        for source in [*sources, Image.fromarray(picture()), picture()]:
            result = read_image(source)
            assert_image(result, 24, 36)
            assert np.array_equal(result, picture())


def test_a_pipe_that_cannot_seek_is_read():
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as end:
        end.write(encoded(picture(), "PNG"))
    with os.fdopen(reader, "rb") as stream:
        assert np.array_equal(read_image(stream), picture())


def test_the_result_is_a_copy():
    image = picture()
    read_image(image)[:] = 0
    assert np.array_equal(image, picture())


def test_sources_that_are_no_source():
    for source in (None, 3, [[0]], object()):
        refused(source, type(source).__name__, "path")
    refused(io.StringIO("text"), "binary")
    refused("https://example.org/cat.png", "download")
    closed = io.BytesIO(b"x")
    closed.close()
    refused(closed, "open the file again")


def test_an_open_file_is_called_by_its_name(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("just words", encoding="utf-8")
    with path.open("rb") as handle:
        assert str(tmp_path) not in refused(handle, "'notes.png'", "not an image")


# EXIF orientation

UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: np.transpose(stored, (1, 0, 2)),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(np.transpose(stored, (1, 0, 2)), 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG", "pillow"])
def test_orientation_is_undone(kind, orientation):
    stored = picture()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    content = encoded(stored, "PNG" if kind == "pillow" else kind, exif=exif, **options)
    source = Image.open(io.BytesIO(content)) if kind == "pillow" else content
    result = read_image(source).astype(int)
    expected = UPRIGHT[orientation](stored)
    assert result.shape == expected.shape
    assert abs(result - expected).max() <= (6 if kind == "JPEG" else 0)


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert np.array_equal(read_image(encoded(picture(), "PNG", exif=exif)), picture())


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0", b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12", b"Exif\0\0"])
def test_broken_exif_leaves_the_picture(exif):
    assert np.array_equal(read_image(encoded(picture(), "PNG", exif=exif)), picture())


def test_orientation_also_turns_sixteen_bit_grey():
    values = np.arange(24 * 36, dtype=np.uint16).reshape(24, 36) * 70
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    expected = np.rot90(np.rint(values / 257), -1)
    assert np.array_equal(read_image(encoded(values, "PNG", exif=exif))[..., 1], expected)


# Colour


def test_grey_one_bit_and_other_modes():
    grey = picture()[..., 1]
    assert np.array_equal(read_image(encoded(grey, "PNG")), np.repeat(grey[..., None], 3, axis=2))
    # Soft colours, which 8 bits of Lab hold.
    soft = picture() // 3 + 90
    for mode in ("HSV", "YCbCr", "LAB", "RGBX"):
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = Image.fromarray(soft)
        image = ImageCms.profileToProfile(image, *profiles, outputMode="LAB") if mode == "LAB" else image.convert(mode)
        assert image.mode == mode
        assert abs(read_image(image).astype(int) - soft).max() <= 4, mode
    bits = Image.fromarray(grey).convert("1")
    expected = np.asarray(bits, dtype=np.uint8)[..., None] * np.ones(3, np.uint8) * 255
    for source in (bits, encoded(bits, "PNG"), encoded(bits, "TIFF", compression="group4"), encoded(bits, "BMP"), encoded(bits, "PPM")):
        assert np.array_equal(read_image(source), expected)


def over_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(int)


def test_alpha_lies_over_white():
    alpha = np.tile(np.linspace(0, 255, 36).astype(np.uint8), (24, 1))
    rgba = np.dstack([picture(), alpha])
    for source in (
        rgba,
        Image.fromarray(rgba),
        encoded(rgba, "PNG"),
        encoded(rgba, "WEBP", lossless=True, exact=True),
        encoded(rgba, "TIFF"),
    ):
        assert abs(read_image(source).astype(int) - over_white(rgba)).max() <= 1
    grey_alpha = np.dstack([picture()[..., 1], alpha])
    expected = over_white(np.dstack([np.repeat(grey_alpha[..., :1], 3, axis=2), alpha]))
    assert abs(read_image(Image.fromarray(grey_alpha, "LA")).astype(int) - expected).max() <= 1
    premultiplied = Image.fromarray(rgba).convert("RGBa")
    assert abs(read_image(premultiplied).astype(int) - over_white(rgba)).max() <= 2
    assert (read_image(Image.new("RGBA", (5, 4), (9, 9, 9, 0))) == 255).all()


def test_palettes_and_their_transparency():
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).convert("L")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200], "RGB")
    opaque = np.array([[[10, 20, 30], [200, 0, 0]], [[0, 200, 0], [0, 0, 200]]])
    assert np.array_equal(read_image(encoded(image, "PNG")), opaque)
    one, many = opaque.copy(), opaque.copy()
    one[0, 1] = 255
    assert np.array_equal(read_image(encoded(image, "PNG", transparency=1)), one)
    assert np.array_equal(read_image(encoded(image, "GIF", transparency=1)), one)
    many[0, 0], many[0, 1] = 255, [228, 128, 128]
    assert abs(read_image(encoded(image, "PNG", transparency=bytes([0, 127, 255, 255]))).astype(int) - many).max() <= 1


def test_a_transparent_colour_of_plain_rgb_and_grey():
    image = picture()
    content = encoded(image, "PNG", transparency=tuple(int(value) for value in image[3, 4]))
    expected = image.copy()
    expected[3, 4] = 255
    assert np.array_equal(read_image(content), expected)
    deep = np.full((3, 4), 1000, np.uint16)
    deep[1, 1] = 65535 // 2
    png = encoded(deep, "PNG")
    position = png.index(b"IDAT") - 4
    png = png[:position] + png_chunk(b"tRNS", struct.pack(">H", 65535 // 2)) + png[position:]
    assert read_image(png)[..., 0].tolist() == [[4] * 4, [4, 255, 4, 4], [4] * 4]


@pytest.mark.parametrize("kind", ["png", "tiff", "tiff-big-endian", "pgm", "pillow", "array", "array-big-endian"])
def test_sixteen_bits_are_scaled(kind, tmp_path):
    values = np.array([[0, 128, 129, 256], [257, 32767, 65278, 65535]], np.uint16)
    path = tmp_path / "deep.tif"
    if kind == "tiff-big-endian":
        tifffile.imwrite(path, values, byteorder=">")
        assert path.read_bytes().startswith(b"MM")
    else:
        tifffile.imwrite(path, values)
    source = {
        "png": lambda: encoded(values, "PNG"),
        "pgm": lambda: b"P5 4 2 65535\n" + values.astype(">u2").tobytes(),
        "pillow": lambda: Image.fromarray(values),
        "array": lambda: values,
        "array-big-endian": lambda: values.astype(">u2"),
    }.get(kind, lambda: path)()
    assert read_image(source)[..., 2].tolist() == [[0, 0, 1, 1], [1, 127, 254, 255]]


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colour_is_scaled(suffix):
    deep = picture().astype(np.uint16) * 257
    content = cv2.imencode(suffix, deep[..., ::-1])[1].tobytes()
    assert abs(read_image(content).astype(int) - picture()).max() <= 1


def test_wide_integers_and_floats_are_scaled(tmp_path):
    grey = picture()[..., 1]
    for factor, dtype in [(1, np.int32), (257, np.int32), (1, np.float32), (1 / 255, np.float32)]:
        assert np.array_equal(read_image(Image.fromarray((grey.astype(float) * factor).astype(dtype)))[..., 0], grey), (factor, dtype)
    stretched = np.linspace(-3, 5000, 24 * 36).astype(np.float32).reshape(24, 36)
    for values in (stretched, (stretched * 1000).astype(np.int32)):
        result = read_image(Image.fromarray(values))[..., 0]
        assert (result.min(), result.max()) == (0, 255)
        assert (np.diff(result.ravel().astype(int)) >= 0).all()
    path = tmp_path / "science.tif"
    tifffile.imwrite(path, stretched)
    assert np.array_equal(read_image(path), read_image(Image.fromarray(stretched)))
    for bad in (np.nan, np.inf):
        stretched[3, 3] = bad
        refused(Image.fromarray(stretched), "NaN")
    assert (read_image(Image.fromarray(np.full((3, 3), 9999, np.float32))) == 0).all()


def test_cmyk_without_and_with_adobes_inversion():
    cmyk = Image.fromarray(picture()).convert("CMYK")
    for source in (cmyk, encoded(cmyk, "TIFF")):
        assert abs(read_image(source).astype(int) - picture()).max() <= 2
    photoshop = encoded(cmyk, "JPEG", quality=98, subsampling=0)
    assert b"Adobe" in photoshop
    assert abs(read_image(photoshop).astype(int) - picture()).max() <= 8


def swapped_profile() -> bytes:
    """An RGB profile in which red means green and green means red."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    return profile.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)


def inks_profile() -> bytes:
    """A CMYK profile in which any cyan ink is pure Lab green, and paper is white."""
    table = b"".join(bytes([140, 40, 200]) if node & 8 else bytes([255, 128, 128]) for node in range(16))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    lut += bytes(range(256)) * 4 + table + bytes(range(256)) * 3
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"inks\0" + bytes(4 + 4 + 2 + 1 + 67)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    parts, tags, position = b"", b"", 128 + 4 + 3 * 12
    for name, content in ((b"desc", text), (b"wtpt", white), (b"A2B0", lut)):
        tags += name + struct.pack(">II", position + len(parts), len(content))
        parts += content + bytes(-len(content) % 4)
    size = position + len(parts)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ") + struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    header += b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", 3) + tags + parts


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "pillow"])
def test_an_rgb_profile_is_applied(kind):
    image = picture()
    if kind == "pillow":
        source = Image.fromarray(image)
        source.info["icc_profile"] = swapped_profile()
    else:
        source = encoded(image, kind, icc_profile=swapped_profile())
    assert abs(read_image(source).astype(int) - image[..., [1, 0, 2]]).max() <= 2


def test_a_profile_applies_under_transparency_and_palettes():
    rgba = np.dstack([picture(), np.full((24, 36), 128, np.uint8)])
    result = read_image(encoded(rgba, "PNG", icc_profile=swapped_profile())).astype(int)
    assert abs(result - over_white(rgba)[..., [1, 0, 2]]).max() <= 2
    palette = Image.fromarray(picture()).quantize(16)
    expected = np.asarray(palette.convert("RGB")).astype(int)[..., [1, 0, 2]]
    assert abs(read_image(encoded(palette, "PNG", icc_profile=swapped_profile())) - expected).max() <= 2


def test_a_cmyk_profile_is_applied():
    cmyk = np.zeros((16, 32, 4), np.uint8)
    cmyk[:, 16:, 0] = 255
    for kind in ("TIFF", "JPEG"):
        result = read_image(encoded(Image.fromarray(cmyk, "CMYK"), kind, icc_profile=inks_profile()))
        assert (result[:, :12] > 245).all()
        red, green, blue = result[8, 28].astype(int)
        assert green > red + 60
        assert green > blue + 60
    plain = read_image(encoded(Image.fromarray(cmyk, "CMYK"), "TIFF"))
    assert plain[8, 28].tolist() == [0, 255, 255]


@pytest.mark.parametrize(
    "profile", [b"nonsense", swapped_profile()[:200], bytes(500), inks_profile()], ids=["words", "cut", "zeros", "cmyk"]
)
def test_a_broken_or_foreign_profile_is_ignored(profile):
    assert np.array_equal(read_image(encoded(picture(), "PNG", icc_profile=profile)), picture())


def test_srgb_changes_no_value():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    assert np.array_equal(read_image(encoded(noise, "PNG", icc_profile=profile)), noise)


# Formats


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (20, 12), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.n_frames == 3
    result = read_image(content)
    assert_image(result, 12, 20)
    assert (abs(result.astype(int) - [255, 0, 0]) <= 4).all()


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("BMP", {}, 0),
        ("PPM", {}, 0),
        ("PNG", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
        ("TIFF", {"compression": "jpeg", "quality": 98}, 12),
        ("TIFF", {"big_tiff": True}, 0),
        ("JPEG2000", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 98, "progressive": True, "subsampling": 0}, 6),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, 4),
        ("MPO", {"quality": 98, "subsampling": 0, "save_all": True, "append_images": [Image.new("RGB", (36, 24))]}, 6),
    ],
)
def test_formats(kind, options, tolerance):
    result = read_image(encoded(picture(), kind, **options))
    assert_image(result, 24, 36)
    assert abs(result.astype(int) - picture()).max() <= tolerance


def test_tiff_with_strange_tags_and_byte_orders(tmp_path):
    path = tmp_path / "odd.tif"
    for byteorder in "<>":
        tags = [(65000, "s", 0, "words", True), (65001, "H", 3, (1, 2, 3), True), (65002, "d", 1, float("nan"), True)]
        tifffile.imwrite(path, picture(), byteorder=byteorder, extratags=tags, photometric="rgb", compression="zlib", tile=(16, 16))
        assert np.array_equal(read_image(path), picture())
    tifffile.imwrite(path, picture().transpose(2, 0, 1), planarconfig="separate", photometric="rgb")
    assert np.array_equal(read_image(path), picture())


def test_twelve_bit_tiff_uses_the_whole_range():
    packed = bytes([0xFF, 0xF0, 0x00]) * 2
    entries = [(256, 2), (257, 2), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, 6)]
    directory = struct.pack("<H", 9) + b"".join(
        struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in entries
    )
    content = b"II*\0" + struct.pack("<I", 14) + packed + directory + bytes(4)
    assert read_image(content)[..., 0].tolist() == [[255, 0], [255, 0]]


def test_extreme_sides_are_valid():
    for shape in ((1, 40_000), (40_000, 1), (1, 1)):
        strip = np.full((*shape, 3), 77, np.uint8)
        assert np.array_equal(read_image(encoded(strip, "PNG")), strip)
        assert np.array_equal(read_image(strip), strip)


# Arrays


def test_arrays_of_every_shape_and_dtype():
    image = picture()
    grey = image[..., 0]
    tripled = np.repeat(grey[..., None], 3, axis=2)
    assert np.array_equal(read_image(grey), tripled)
    assert np.array_equal(read_image(grey[..., None]), tripled)
    assert np.array_equal(read_image(np.dstack([image, np.full_like(grey, 255)])), image)
    assert np.array_equal(read_image(image[::-1, ::2]), image[::-1, ::2])
    assert np.array_equal(read_image(np.asfortranarray(image)), image)
    for dtype in (np.float16, np.float32, np.float64):
        assert np.array_equal(read_image((image / 255).astype(dtype)), image)
    assert np.array_equal(read_image(image.astype(np.uint16) * 257), image)
    assert np.array_equal(read_image(grey > 100)[..., 0], np.where(grey > 100, 255, 0))
    assert np.array_equal(read_image(np.array([[0.0, 1.0 + 1e-9]])), [[[0] * 3, [255] * 3]])
    half = read_image(np.array([[[0.0, 0.0, 0.0, 0.5]]]))
    assert abs(half.astype(int) - 127).max() <= 1
    assert_image(read_image(grey), 24, 36)


def test_arrays_that_are_no_image():
    refused(np.zeros((3, 20, 30), np.uint8), "(3, 20, 30)", "transpose(1, 2, 0)")
    refused(np.zeros((2, 20, 30, 3), np.uint8), "one at a time")
    for shape in ((5,), (), (4, 5, 2), (4, 5, 7)):
        refused(np.zeros(shape, np.uint8), str(shape))
    for shape in ((0, 5), (5, 0, 3), (0, 0, 3)):
        refused(np.zeros(shape, np.uint8), "empty")
    for dtype in (np.int64, np.int8, np.uint32, np.complex64, object, "U3"):
        refused(np.zeros((4, 5), dtype), "uint8")
    for bad in (1.5, -0.2, 200.0):
        refused(np.array([[0.5, bad]]), "0 to 1")
    for bad in (np.nan, np.inf, -np.inf):
        refused(np.array([[0.5, bad]]), "NaN")
    refused(np.broadcast_to(np.uint8(0), (8000, 8000)), "megapixels")


# Refusals


def test_paths_that_hold_no_file(tmp_path):
    refused(tmp_path, tmp_path.name, "folder")
    refused(tmp_path / "missing.png", "missing.png", "no file")
    refused(str(tmp_path / "no" / "such.png"), "no file")
    refused("bad\0name.png", "no file")
    refused("x" * 5000, "x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path / "loop", "loop")
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "pipe.png", "regular file")
    (tmp_path / "empty.png").write_bytes(b"")
    refused(tmp_path / "empty.png", "'empty.png'", "empty")
    refused(b"", "empty")
    refused(io.BytesIO(), "empty")


def test_a_file_without_permission(tmp_path, monkeypatch):
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(picture(), "PNG"))

    def deny(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    refused(path, "'secret.png'", "permission")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>', "SVG"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<svg width="1"></svg>', "SVG"),
        (b"%PDF-1.7\n1 0 obj", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n%%EOF", "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "PostScript"),
        (b"\xd7\xcd\xc6\x9a" + bytes(60), "metafile"),
        (b"\x01\0\0\0" + bytes(36) + b" EMF" + bytes(60), "metafile"),
        (b"<!DOCTYPE html><html><svg></svg></html>", "web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90), "save or export it as JPEG"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(90), "HEIC"),
        (b"\xff\x0a" + bytes(90), "JPEG XL"),
        (b"PK\x03\x04" + bytes(90), "archive"),
        (b"\0\0\0\x18ftypisom" + bytes(90), "video"),
        (b"just words, nothing else", "not an image"),
        (b"\0" * 5000, "not an image"),
        (b"P", "not an image"),
        (b"%YAML 1.2", "not an image"),
    ],
)
def test_other_kinds_of_files(content, word, tmp_path):
    refused(content, word)
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    refused(path, "'photo.png'", word)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script")
def test_postscript_never_starts_another_program(tmp_path, monkeypatch):
    marker = tmp_path / "started"
    for name in ("gs", "gswin64c"):
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\ntouch {marker}\n", encoding="utf-8")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "drawing.eps"
    path.write_bytes(encoded(picture(), "EPS"))
    refused(path, "PostScript")
    assert not marker.exists()


def test_a_polyglot_is_only_its_picture():
    content = encoded(picture(), "PNG") + b"<html><script>alert(1)</script></html>%PDF-1.4 PK\x03\x04"
    assert np.array_equal(read_image(content), picture())
    refused(b"<html>" + encoded(picture(), "PNG"), "web page")


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def claims(kind: str, width: int, height: int) -> bytes:
    """A small file whose header claims a size that is not in it."""
    if kind == "BMP":
        return bmp_header(width, height)
    if kind == "PPM":
        return f"P6 {width} {height} 255\n".encode()
    if kind == "PNG":
        return png_header(width, height, png_chunk(b"IDAT", zlib.compress(bytes(100))) + png_chunk(b"IEND", b""))
    small = encoded(np.zeros((16, 16, 3), np.uint8), kind, **({"lossless": True} if kind == "WEBP" else {}))
    content = bytearray(small)
    if kind == "JPEG":
        position = small.index(b"\xff\xc0") + 5
        content[position : position + 4] = struct.pack(">HH", height, width)
    elif kind == "GIF":
        content[6:10] = struct.pack("<HH", width, height)
    elif kind == "WEBP":
        bits = struct.unpack_from("<I", content, 21)[0] & ~0xFFFFFFF
        struct.pack_into("<I", content, 21, bits | (height - 1) << 14 | (width - 1))
    elif kind == "TIFF":
        for tag, value in ((256, width), (257, height)):
            position = (
                small.index(struct.pack("<HH", tag, 3)) if struct.pack("<HH", tag, 3) in small else small.index(struct.pack("<HH", tag, 4))
            )
            content[position : position + 12] = struct.pack("<HHII", tag, 4, 1, value)
    return bytes(content)


@pytest.mark.parametrize(
    ("kind", "side"),
    [(kind, side) for kind in ("PNG", "BMP", "PPM", "TIFF", "JPEG", "GIF", "WEBP") for side in (6400, 9999, 16_000)]
    # More than the headers of the others can say.
    + [(kind, 100_000) for kind in ("PNG", "BMP", "PPM", "TIFF")],
)
def test_too_many_pixels_are_refused_before_decoding(kind, side, monkeypatch):
    content = claims(kind, side, side)

    def decoded(*args, **kwargs):
        pytest.fail("the image was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    refused(content, "40 megapixels")


def test_the_limit_itself():
    assert MAX_PIXELS == 40_000_000
    assert_image(read_image(encoded(Image.new("1", (8000, 5000)), "PNG")), 5000, 8000)
    refused(encoded(Image.new("1", (8000, 5001)), "PNG"), "8000 x 5001")
    refused(Image.new("1", (8000, 5001)), "megapixels")


def test_pillows_global_settings_are_untouched():
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    refused(claims("PNG", 100_000, 100_000))
    read_image(picture())
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_a_text_bomb_in_a_png():
    bomb = zlib.compress(bytes(200_000_000), 9)
    content = encoded(picture(), "PNG")
    for chunk in (
        png_chunk(b"zTXt", b"Comment\0\0" + bomb),
        png_chunk(b"iTXt", b"c\0\1\0\0\0" + bomb),
        png_chunk(b"iCCP", b"p\0\0" + bomb),
    ):
        tracemalloc.start()
        refused(content[:33] + chunk + content[33:], "damaged")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 50_000_000  # of 200 that are in it


def test_zero_sized_images():
    for size in ((0, 5), (5, 0), (0, 0)):
        refused(Image.new("RGB", size), "empty")
    refused(png_header(0, 5))
    refused(bmp_header(0, 0))


def test_a_closed_pillow_image():
    image = Image.open(io.BytesIO(encoded(picture(), "PNG")))
    image.close()
    refused(image)


def samples() -> dict[str, bytes]:
    image = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8) // 2 + picture(40, 50) // 2
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010F] = "maker"
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "words " * 50, zip=True)
    frames = [Image.fromarray(np.roll(image, shift, axis=0)) for shift in (5, 9)]
    many = {"save_all": True, "append_images": frames}
    cmyk = Image.fromarray(image).convert("CMYK")
    grey = Image.fromarray(image).convert("L")
    return {
        "jpeg": encoded(image, "JPEG", exif=exif, icc_profile=swapped_profile()),
        "jpeg-progressive": encoded(image, "JPEG", progressive=True),
        "jpeg-cmyk": encoded(cmyk, "JPEG", icc_profile=inks_profile()),
        "mpo": encoded(image, "MPO", **many),
        "png": encoded(image, "PNG", pnginfo=notes, exif=exif, icc_profile=swapped_profile()),
        "png-palette": encoded(Image.fromarray(image).quantize(9), "PNG", transparency=b"\0\7"),
        "png-deep": encoded(image[..., 0].astype(np.uint16) * 250, "PNG"),
        "apng": encoded(image, "PNG", **many),
        "gif": encoded(image, "GIF", **many),
        "webp": encoded(image, "WEBP", exif=exif),
        "webp-lossless": encoded(image, "WEBP", lossless=True, **many),
        "bmp": encoded(image, "BMP"),
        "ppm": encoded(image, "PPM"),
        "tiff": encoded(image, "TIFF", exif=exif),
        "tiff-lzw": encoded(image, "TIFF", compression="tiff_lzw"),
        "tiff-jpeg": encoded(image, "TIFF", compression="jpeg"),
        "tiff-fax": encoded(grey.convert("1"), "TIFF", compression="group4"),
        "jp2": encoded(image, "JPEG2000", irreversible=True),
        "avif": encoded(image, "AVIF", exif=exif),
    }


@pytest.mark.parametrize("kind", samples())
def test_a_cut_file_is_refused_or_whole(kind):
    """Never half an image: whatever is read of a cut file is what the whole file holds."""
    content = samples()[kind]
    whole = read_image(content)
    lengths = {len(content) * part // 37 for part in range(37)} | {len(content) - 1, len(content) - 2, len(content) - 12}
    for length in sorted(lengths):
        try:
            result = read_image(content[:length])
        except ImageError as error:
            sentence = str(error)
            assert ("damaged" in sentence) or length < 40, sentence
        else:
            assert np.array_equal(result, whole), f"{length} of {len(content)} bytes"
            assert length > len(content) // 3


@pytest.mark.parametrize("kind", samples())
def test_damaged_files_are_refused_or_read_and_nothing_else(kind, capfd):
    """Flipped, cut, doubled and overwritten bytes: an array or an ImageError, and no warnings."""
    content = samples()[kind]
    rng = random.Random(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(60):
            mutant = bytearray(content)
            for _ in range(rng.choice([1, 1, 2, 5, 30])):
                # Headers are where most of the code is.
                position = rng.randrange(min(len(mutant), rng.choice([40, 300, 10**9])))
                action = rng.randrange(5)
                if action == 0:
                    mutant[position] ^= 1 << rng.randrange(8)
                elif action == 1:
                    mutant[position] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
                elif action == 2:
                    mutant[position : position + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(9))
                elif action == 3:
                    mutant[position : position + 4] = rng.choice([b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
                else:
                    mutant[position:position] = mutant[: rng.randrange(1, 60)]
            try:
                result = read_image(bytes(mutant))
            except ImageError:
                pass
            else:
                assert result.dtype == np.uint8
                assert result.ndim == 3
                assert result.shape[2] == 3
                assert result.size > 0
    # libtiff writes to the terminal from C, and Pillow has no switch for that.
    assert capfd.readouterr() == ("", "") or kind.startswith("tiff")


@pytest.mark.parametrize("kind", ["jpeg", "jpeg-progressive", "jpeg-cmyk", "mpo"])
def test_a_jpeg_filled_up_with_zeros_is_refused(kind):
    content = encoded(Image.open(io.BytesIO(samples()[kind])).convert("RGB"), "JPEG")
    refused(content[: len(content) // 2] + bytes(len(content)), "damaged")
    assert np.array_equal(read_image(content + bytes(999)), read_image(content))


def test_random_bytes_behind_every_signature():
    rng = random.Random(0)
    starts = [content[:length] for content in samples().values() for length in (4, 12, 16, 40)]
    for start in starts:
        for _ in range(3):
            with pytest.raises(ImageError):
                read_image(start + rng.randbytes(200))


def test_jpeg_2000_without_its_header():
    header = encoded(picture(), "JPEG2000")
    refused(header.replace(b"jp2h", b"free"), "damaged")
    refused(b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 ", "damaged")


def test_a_failure_keeps_its_cause():
    content = encoded(picture(), "PNG")
    for source in (content[: len(content) // 2], b"words", claims("PNG", 100_000, 100_000)):
        with pytest.raises(ImageError) as caught:
            read_image(source)
        assert caught.value.__cause__ is not None
        assert isinstance(caught.value, VizlibError)


def test_a_bug_is_not_called_a_damaged_file(monkeypatch):
    class BugError(Exception):
        pass

    def broken(*args, **kwargs):
        raise BugError

    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    with pytest.raises(BugError):
        read_image(encoded(picture(), "BMP"))


def test_memory_that_runs_out(monkeypatch):
    def full(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", full)
    refused(encoded(picture(), "BMP"), "memory")


def test_warning_filters_survive_many_threads():
    before = list(warnings.filters)
    cut = samples()["tiff"]
    wrong = []

    def work(seed: int) -> None:
        for _ in range(20):
            if not np.array_equal(read_image(encoded(picture() + np.uint8(seed), "PNG")), picture() + np.uint8(seed)):
                wrong.append(seed)
            with pytest.raises(ImageError):
                read_image(cut[: len(cut) // 2])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert warnings.filters == before


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_how_sixteen_bits_were_scaled_is_said(tmp_path, suffix):
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64) * 3
    Image.fromarray(values).save(tmp_path / f"deep.{suffix}")
    pixels, scaling = read_with_scaling(tmp_path / f"deep.{suffix}")
    assert np.array_equal(pixels[..., 0], np.round(values / 257).astype(np.uint8))
    assert scaling == "Its values from 0 to 65,535 are shown as 0 to 255; those of this picture go from 0 to 12,285."
    assert read_with_scaling(values)[1] == scaling


def test_nothing_is_said_of_eight_bits(tmp_path):
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "grey.png")
    assert read_with_scaling(tmp_path / "grey.png")[1] == ""


def test_a_range_that_is_taken_from_the_values_is_said(tmp_path):
    values = np.linspace(-2, 6, 64, dtype=np.float32).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "float.tif")
    pixels, scaling = read_with_scaling(tmp_path / "float.tif")
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert scaling.startswith("Its values from -2 to 6 are shown as 0 to 255")
