"""Walks over a module find what torch's own generators find, in the same order."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import vizlib
from vizlib.tracing.module_walk import parts_of, parts_that_hold, tensors_of, unwatched


class Tangled(nn.Module):
    """Parts and weights at several paths, places that are empty, and a list inside a list."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.nothing = None
        self.register_parameter("missing", None)
        self.register_buffer("none", None)
        self.register_buffer("table", torch.ones(2))
        self.deep = nn.ModuleList([nn.ModuleList([nn.BatchNorm1d(3), self.first]), nn.Sequential()])
        self.tied = nn.Linear(3, 3)
        self.tied.weight = self.first.weight
        self.deep.append(self.tied)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tied(self.deep[0][0](self.again(x)))


def modules() -> dict[str, nn.Module]:
    tangled = Tangled().eval()
    scripted = torch.jit.trace(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval(), torch.ones(2, 3))
    return {"tangled": tangled, "alone": nn.ReLU(), "scripted": scripted, "around": nn.Sequential(scripted, tangled)}


@pytest.mark.parametrize("name", modules())
def test_parts_and_weights_are_torchs_own(name: str) -> None:
    module = modules()[name]
    names = {id(part): path for path, part in module.named_modules()}
    assert [names[id(part)] for part in parts_of(module)] == list(names.values())
    own = [tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers())]
    assert [tensor.data_ptr() for tensor in tensors_of(module)] == own


@pytest.mark.parametrize("path", ["first", "deep.0.0", "deep.1", "tied", ""])
def test_what_holds_a_part_is_every_part_on_every_way_to_it(path: str) -> None:
    module = Tangled()
    wanted = module.get_submodule(path)
    expected = {id(module)}
    for way, part in module.named_modules(remove_duplicate=False):
        if part is wanted:
            steps = way.split(".") if way else []
            expected |= {id(module.get_submodule(".".join(steps[: end + 1]))) for end in range(len(steps))}
    assert parts_that_hold(module, {id(wanted)}) == expected


@pytest.mark.parametrize("name", modules())
def test_torchscript_is_named_where_it_lies(name: str) -> None:
    where = {"scripted": ": it is TorchScript", "around": ": 0 is TorchScript"}.get(name, "")
    assert unwatched(modules()[name]).startswith(where)
    assert bool(where) == bool(unwatched(modules()[name]))


class Halved(nn.Module):
    """A small network, of which a half is TorchScript."""

    num_classes = 5

    def __init__(self, *, whole: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4, 4)
        self.inner = torch.jit.script(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())) if whole else nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.inner(self.stem(x)).mean((2, 3)))


@pytest.mark.parametrize("method", ["grad_cam", "rollout", "attention", "relevance", "patching", "leave_one_out"])
@pytest.mark.parametrize("packed", ["whole", "half"])
def test_what_cannot_be_watched_is_refused_with_that_reason(packed: str, method: str) -> None:
    module = Halved(whole=True).eval()
    model = vizlib.wrap(torch.jit.trace(module, torch.ones(1, 3, 32, 32)) if packed == "whole" else module, input_size=(32, 32))
    path = "it" if packed == "whole" else "inner"
    with pytest.raises(vizlib.VizlibError, match=rf"{path} is TorchScript, whose parts cannot be watched; wrap the network"):
        vizlib.explain(model, torch.ones(3, 32, 32), method, 1)
