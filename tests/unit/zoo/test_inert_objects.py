"""Objects of foreign classes in weights files: left out, or refused by name; none of their code runs."""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

import vizlib
from vizlib.zoo.weights import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


def state() -> dict[str, torch.Tensor]:
    return {"head.weight": torch.arange(6.0).reshape(2, 3), "head.bias": torch.tensor([1.0, 2.0])}


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(vizlib.CheckpointError) as error:
        read_checkpoint(path)
    return str(error.value)


def test_whole_module_is_read_as_its_weights(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.ReLU()))
    module[0].register_buffer("spare", torch.ones(1), persistent=False)
    module[1].extra = None
    read = read_checkpoint(saved(tmp_path / "a.pt", module))
    assert list(read) == list(module.state_dict())
    assert all(torch.equal(value, read[key]) for key, value in module.state_dict().items())


def test_a_whole_module_that_holds_itself_is_refused(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    module.loop = module
    assert "holds itself" in refused(saved(tmp_path / "a.pt", module))


TRAPS = """
import enum, pathlib
class Trap:
    def __init__(self, *args): self.args = args
    def __reduce__(self): return Trap, (1, 2), {"state": 3}
    def __setstate__(self, state): pathlib.Path(__file__).with_name("sprung").touch()
class Plain:
    def __init__(self): self.inner, self.kind = Trap(), Kind.FIRST
class Kind(enum.Enum):
    FIRST = 1
class Items(list): pass
pathlib.Path(__file__).with_name("sprung").touch()
"""


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Path]]:
    """A module of classes that leave a mark whenever any of their code runs, and the mark."""
    (tmp_path / "hidden_classes.py").write_text(TRAPS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("hidden_classes"), tmp_path / "sprung"
    sys.modules.pop("hidden_classes", None)


@pytest.mark.parametrize("form", [True, False])
def test_objects_beside_the_weights_are_put_aside_and_nothing_runs(tmp_path: Path, trap: tuple[Any, Path], form: bool) -> None:
    hidden, mark = trap
    extras = {
        "trap": hidden.Trap(),
        "plain": hidden.Plain(),
        "class": hidden.Plain,
        "optimizer": functools.partial(torch.optim.AdamW, lr=0.1),
        "folder": tmp_path,
        "when": dt.datetime.now(dt.UTC),
        "best": np.float64(0.5),
        "curve": np.zeros(3),
        "kind": hidden.Kind.FIRST,
        "function": nn.functional.gelu,
        "namespace": argparse.Namespace(a=1),
    }
    path = tmp_path / "a.ckpt"
    torch.save({"hyper_parameters": extras, "state_dict": state()}, path, _use_new_zipfile_serialization=form)
    sys.modules.pop("hidden_classes")
    mark.unlink()
    before = set(torch.serialization.get_safe_globals())
    read = read_checkpoint(path)
    assert all(torch.equal(value, read[key]) for key, value in state().items())
    assert "hidden_classes" not in sys.modules
    assert not mark.exists()
    assert set(torch.serialization.get_safe_globals()) == before
    torch.load(path, weights_only=False)  # the trap works: it would have sprung
    assert mark.exists()


def test_what_cannot_be_put_aside_is_named(tmp_path: Path, trap: tuple[Any, Path]) -> None:
    path = saved(tmp_path / "a.ckpt", {"state_dict": state(), "items": trap[0].Items([1, 2])})
    assert "hidden_classes.Items" in refused(path)
    assert "state_dict() alone" in refused(path)
