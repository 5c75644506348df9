"""Messages for the browser, and what the JavaScript beside them must agree on: tests/js reads the fixtures that are checked here.

After a change of the encoder, the palette or the words: ``python tests/unit/ui/test_message_codec.py`` writes the fixtures anew.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from vizlib.figures.colormaps import diverging
from vizlib.figures.map_scale import share_above, upper_end
from vizlib.figures.numbers import percent
from vizlib.ui.core.message_codec import MAGIC, MessageError, pack, unpack, with_header

FIXTURES = Path(__file__).parents[2] / "js" / "fixtures"
HEADER = {"title": "Stéfan's cat", "grid": [2, 3], "none": None}
INNER = pack({"site": "blocks.0"}, {"weights": np.array([0.25, 0.75], np.float32)})
ARRAYS = {
    "u1": np.array([0, 1, 2, 3, 4, 5, 255], np.uint8),
    "u2": np.array([[0, 1], [256, 65535]], np.uint16),
    "i4": np.array([-(2**31), -1, 0, 2**31 - 1], np.int32),
    "f4": np.array([[0.5, -1.5, 1 / 3], [np.nan, np.inf, 1e-30]]),
    "empty": np.zeros((0, 4), np.float32),
    "photo": b"bytes",
    "inner": INNER,
}
SHARES = (
    *(-0.213, -0.05, -1e-9, 0, 1e-5, 0.0009, 0.001, 0.0123, 0.0949, 0.0994, 0.0999, 0.1, 0.12, 0.126, 0.5),
    *(0.9949, 0.9951, 0.999, 0.9996, 1 - 1e-12, 1, 1.2),
)


def fixtures() -> dict[str, bytes]:
    table = np.frombuffer(diverging(), np.uint8).reshape(256, 3)
    # The table runs by the root of a value, the browser's palette by the value.
    shares = np.linspace(-1, 1, 256)
    values = (np.sign(shares) * np.sqrt(np.abs(shares))).round(6)
    palette = [[float(values[index]), table[index].tolist()] for index in range(0, 256, 3)]
    words = [[share, percent(share)] for share in SHARES]
    return {
        "message.bin": pack(HEADER, ARRAYS),
        "percent.json": json.dumps(words).encode(),
        "diverging.json": json.dumps(palette).encode(),
        "map_scale.json": json.dumps([scale_case(*case) for case in scale_cases()]).encode(),
    }


def scale_cases() -> list[tuple[np.ndarray, float | None]]:
    """Maps with peaks, flat ones, of both signs, of zeros, of one value and of none."""
    rng = np.random.default_rng(0)
    peaked = rng.dirichlet(np.full(196, 0.05)).round(6)
    peaks = [np.array([0.0] * 300 + [2.0]), np.array([1.0, 2.0]), np.array([3.0]), np.zeros(5), np.zeros(0)]
    flat = np.full(49, 1 / 49).round(6)
    return [(peaked, None), (peaked, 1 / 196), (flat, 1 / 49), (rng.normal(size=150).round(6), None), *((case, None) for case in peaks)]


def scale_case(values: np.ndarray, even: float | None) -> dict[str, object]:
    end = upper_end(values, even)
    return {"values": values.tolist(), "even": even, "end": end, "above": share_above(values, end)}


@pytest.mark.parametrize("name", ["message.bin", "percent.json", "diverging.json", "map_scale.json"])
def test_the_fixtures_of_the_javascript_tests_are_what_python_writes(name):
    assert (FIXTURES / name).read_bytes() == fixtures()[name]


def test_a_message_comes_back_with_every_array_in_place():
    message = pack(HEADER, ARRAYS)
    header, back = unpack(message)
    assert header == HEADER
    for name, array in ARRAYS.items():
        if isinstance(array, bytes):
            assert back[name].tobytes() == array
            continue
        expected = array.astype("<f4") if array.dtype.kind == "f" else array
        assert back[name].dtype == expected.dtype
        assert back[name].shape == expected.shape
        np.testing.assert_array_equal(back[name], expected)
    start = np.frombuffer(message, np.uint8).__array_interface__["data"][0]
    assert {(array.__array_interface__["data"][0] - start) % 8 for array in back.values() if array.size} == {0}
    assert unpack(back["inner"])[1]["weights"].tolist() == [0.25, 0.75]


def test_another_header_over_the_same_arrays():
    arrays = {"odd": np.arange(5, dtype=np.uint8), "numbers": np.arange(3, dtype=np.float32)}
    message = with_header(pack({"title": "first", "kept": 1}, arrays), {"title": "a much longer title \u00e9", "start": {"v": 0.5}})
    header, back = unpack(message)
    assert header == {"title": "a much longer title \u00e9", "kept": 1, "start": {"v": 0.5}}
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
    (length,) = struct.unpack("<I", message[4:8])
    assert length % 8 == 0


def test_arrays_that_are_not_contiguous_are_sent_row_after_row():
    array = np.arange(12, dtype=np.uint16).reshape(3, 4)
    _, back = unpack(pack({}, {"columns": array.T, "every other": array[:, ::2]}))
    np.testing.assert_array_equal(back["columns"], array.T)
    np.testing.assert_array_equal(back["every other"], array[:, ::2])
    assert unpack(pack({"alone": 1})) == ({"alone": 1}, {})


def test_what_no_browser_array_holds_is_refused():
    with pytest.raises(KeyError):
        pack({}, {"bool": np.array([True])})


@pytest.mark.parametrize("data", [b"", MAGIC, b"VZM1" + bytes(20), b'{"title": "cat"}'])
def test_other_bytes_are_no_message(data):
    with pytest.raises(MessageError, match="no packed message"):
        unpack(data)


def test_a_message_that_was_cut_off_says_where():
    message = pack(HEADER, ARRAYS)
    with pytest.raises(MessageError, match="inside its header"):
        unpack(message[:40])
    with pytest.raises(MessageError, match="ends inside 'inner'"):
        unpack(message[:-1])


if __name__ == "__main__":
    for name, content in fixtures().items():
        (FIXTURES / name).write_bytes(content)
