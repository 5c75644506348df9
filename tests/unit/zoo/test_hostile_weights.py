"""Weights files made to cost more than they are worth: refused, or read in time and memory that grow with the file alone."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from vizlib.errors import CheckpointError
from vizlib.zoo.inert_objects import InertObject, pickled_module
from vizlib.zoo.loading_plans import rejoined
from vizlib.zoo.training_checkpoints import PREFIXES, WRAPPERS, network_state
from vizlib.zoo.weights import match_state, read_checkpoint
from vizlib.zoo.zip_members import read_member

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MANY = 20_000
ZERO = torch.zeros(1)


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    return str(caught.value)


KEYS: dict[str, Callable[[int], dict[str, torch.Tensor]]] = {
    "names apart": lambda count: {f"a{index}.weight": ZERO for index in range(count)},
    "one prefix": lambda count: {f"module.a{index}": ZERO for index in range(count)},
    "every prefix": lambda count: {f"{prefix}a{index}": ZERO for prefix in PREFIXES for index in range(count // len(PREFIXES))},
    "a prefix over and over": lambda count: {"module." * 100 + f"a{index}": ZERO for index in range(count)},
}


@pytest.mark.parametrize("kind", KEYS)
def test_cost_grows_with_the_number_of_keys(kind: str) -> None:
    def seconds(count: int) -> float:
        state = KEYS[kind](count)
        before = time.thread_time()
        state = network_state(state, "file")
        assert rejoined(None, state) is None  # type: ignore[arg-type]
        with pytest.raises(CheckpointError):
            match_state({"w": ZERO}, state, "a network")
        return time.thread_time() - before

    small = min(seconds(MANY // 8) for _ in range(3))
    assert seconds(MANY) < 25 * small + 0.5


def test_a_name_beyond_all_measure_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(save({"module." * 100_000: ZERO}))
    message = refused(tmp_path / "a.safetensors")
    assert "names a tensor with 700,000 characters" in message
    assert len(message) < 400


def test_a_dictionary_that_holds_itself_in_many_ways_is_looked_at_once() -> None:
    loop: dict[Any, Any] = {index: index for index in range(MANY)}
    loop |= dict.fromkeys(WRAPPERS, loop)
    before = time.thread_time()
    with pytest.raises(CheckpointError, match="no tensors by name"):
        network_state(loop, "file")
    assert time.thread_time() - before < 1.0


@pytest.mark.parametrize("content", ["torch", "zip", "npz", "legacy"])
def test_a_file_called_safetensors_is_read_as_nothing_else(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.Safetensors"
    if content == "npz":
        with path.open("wb") as file:
            np.savez(file, a=np.ones(3))
    elif content == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.safetensors", save({"a": ZERO}))
    else:
        torch.save({"a": ZERO}, path, _use_new_zipfile_serialization=content == "torch")
    assert "is called .safetensors and is not one" in refused(path)
    path.rename(tmp_path / "a.bin")
    assert read_checkpoint(tmp_path / "a.bin").keys() == {"a"}


def test_a_name_that_safetensors_may_have_does_not_turn_it_into_something_else(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    length = 0x3C20  # as bytes " <", which begins a web page too
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", length) + header.ljust(length) + bytes(4))
    assert read_checkpoint(tmp_path / "a.safetensors").keys() == {"a"}


def lying(path: Path, name: str, content: bytes, claimed: int, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip of one member whose directory says that it unpacks to ``claimed`` bytes."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", len(content)), struct.pack("<I", claimed)))
    return path


@pytest.mark.parametrize("name", ["a.pth", "archive/data.pkl"])
def test_a_directory_that_says_too_little_has_no_more_unpacked(tmp_path: Path, name: str) -> None:
    path = lying(tmp_path / "a.zip", name, bytes(64 << 20), 1000)
    tracemalloc.start()
    with zipfile.ZipFile(path) as archive, pytest.raises(zipfile.BadZipFile):
        read_member(archive, archive.infolist()[0])
    refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_directory_that_says_too_much_is_refused(tmp_path: Path) -> None:
    assert "would unpack" in refused(lying(tmp_path / "a.zip", "a.pth", b"abc" * 100, 1 << 31))


def test_packing_that_unpacks_in_one_piece_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.pth", bytes(1 << 20))
    assert "packed in a way that weights are not" in refused(tmp_path / "a.zip")


def test_an_array_that_claims_more_than_its_member_holds_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.ones(1000))
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        array = archive.read("a.npy")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.npy", array.replace(b"(1000,)", b"(9999999999,)").replace(b"}      ", b"}"))
    assert "claims (9999999999,) for a.npy" in refused(tmp_path / "b.npz")


@pytest.mark.parametrize("name", ["a.pth", "a.bin"])
def test_a_storage_of_the_old_format_that_claims_more_than_the_file_is_refused(tmp_path: Path, name: str) -> None:
    torch.save({"a": torch.arange(1000.0)}, tmp_path / name, _use_new_zipfile_serialization=False)
    data = (tmp_path / name).read_bytes()
    assert data.count(b"M\xe8\x03") == 2
    (tmp_path / name).write_bytes(data.replace(b"M\xe8\x03", b"J\xff\xff\xff\x7f"))
    assert "claims 2,147,483,647 values" in refused(tmp_path / name)


def test_modules_in_each_other_and_shared_without_end_are_refused(tmp_path: Path) -> None:
    shell = InertObject()
    shell.state = {"_modules": {}, "_parameters": {}}
    for _ in range(50_000):
        outer = InertObject()
        outer.state = {"_modules": {"a": shell}, "_parameters": {}}
        shell = outer
    with pytest.raises(CheckpointError, match="holds a module that holds itself, or more parts than any"):
        pickled_module(shell, "file")
    while inner := shell.state["_modules"].pop("a", None):  # taken apart by hand: Python would recurse
        shell = inner
    shared = torch.nn.Module()
    for _ in range(40):  # 2 ** 40 paths
        outer = torch.nn.Module()
        outer.left = outer.right = shared
        shared = outer
    torch.save(shared, tmp_path / "shared.pth")
    assert "more parts than any" in refused(tmp_path / "shared.pth")


def test_more_kinds_of_objects_than_any_file_has_are_refused(tmp_path: Path) -> None:
    kinds = b"".join(b"cother.kind\nK%d\n0" % number for number in range(1500))
    (tmp_path / "a.bin").write_bytes(b"\x80\x02" + kinds + b"}.")
    assert "objects of 1,500 kinds" in refused(tmp_path / "a.bin")
