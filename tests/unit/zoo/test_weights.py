"""Reading weights files that are honest, broken or hostile, and filling models from names."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import random
import struct
import threading
import warnings
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vizlib.errors import CheckpointError, ModelError
from vizlib.zoo.weights import fill_random, fingerprint, load_strict, match_state, read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


def state() -> dict[str, torch.Tensor]:
    return {"head.weight": torch.arange(6.0).reshape(2, 3), "head.bias": torch.tensor([1.0, 2.0]), "steps": torch.tensor(7)}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return list(left) == list(right) and all(torch.equal(left[k], right[k]) and left[k].dtype == right[k].dtype for k in left)


def saved(path: Path, value: object, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin", "a.pth.tar", "a.ckpt"])
@pytest.mark.parametrize("modern", [True, False])
def test_torch_files_of_both_formats(tmp_path: Path, name: str, modern: bool) -> None:
    assert same(read_checkpoint(saved(tmp_path / name, state(), _use_new_zipfile_serialization=modern)), state())


def test_safetensors_whatever_the_suffix(tmp_path: Path) -> None:
    for name in ("a.safetensors", "a.bin"):
        save_file(state(), tmp_path / name)
        loaded = read_checkpoint(str(tmp_path / name))
        assert same(dict(sorted(loaded.items())), dict(sorted(state().items())))


@pytest.mark.parametrize(
    "wrapped",
    [
        {"state_dict_ema": state(), "state_dict": {"other": torch.zeros(1)}, "epoch": 3, "optimizer": {"lr": [0.1]}},
        {"state_dict_ema": None, "state_dict": state()},
        {"model_ema": state(), "model": {"other": torch.zeros(1)}},
        {"model": state(), "args": argparse.Namespace(lr=0.1, data="imagenet")},
        {"net": state(), "acc": 93.2},
        {"model": OrderedDict(("module." + k, nn.Parameter(v) if v.is_floating_point() else v) for k, v in state().items())},
        {"_orig_mod.module." + k: v for k, v in state().items()},
        {"state_dict": {"model": state()}},
        {"state_dict": state() | {"version": "1.2"}},
    ],
)
def test_training_checkpoints_are_unwrapped(tmp_path: Path, wrapped: object) -> None:
    loaded = read_checkpoint(saved(tmp_path / "a.pth.tar", wrapped))
    assert same(loaded, state())
    assert not any(isinstance(value, nn.Parameter) or value.requires_grad for value in loaded.values())


def test_prefix_stays_unless_all_have_it(tmp_path: Path) -> None:
    mixed = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    assert list(read_checkpoint(saved(tmp_path / "a.pt", mixed))) == ["module.a", "b"]


@pytest.mark.parametrize("value", [state() | {"epoch": 3}, {1: torch.zeros(1)}, [torch.zeros(1)], torch.zeros(1), {}, {"model": 3}, None])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, value: object) -> None:
    assert "state_dict()" in refused(saved(tmp_path / "a.pth", value))


def test_dictionary_that_holds_itself_is_refused(tmp_path: Path) -> None:
    loop: dict[str, Any] = {}
    loop["model"] = loop
    assert "no tensors" in refused(saved(tmp_path / "a.pth", loop))


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self.path)!r}, 'w')",)


class Shell(Evil):
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("form", ["torch", "legacy", "pickle", "zip"])
@pytest.mark.parametrize(("kind", "wanted"), [(Shell, "posix.system"), (Evil, "exec")])
def test_malicious_pickle_is_refused_and_nothing_runs(tmp_path: Path, kind: type[Evil], wanted: str, form: str, protocol: int) -> None:
    trap, path = tmp_path / "trap", tmp_path / ("a.pth.zip" if form == "zip" else "a.pth")
    content = {"weight": torch.zeros(2), "args": argparse.Namespace(a=1), "evil": kind(trap)}
    data = io.BytesIO()
    if form == "pickle":
        pickle.dump(kind(trap), data, protocol)
    else:
        torch.save(content, data, pickle_protocol=protocol, _use_new_zipfile_serialization=form != "legacy")
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.pth", data.getvalue())
    else:
        path.write_bytes(data.getvalue())
    message = refused(path)
    assert wanted in message
    assert "safetensors" in message
    assert not trap.exists()
    with warnings.catch_warnings():  # the trap works: it would have sprung
        warnings.simplefilter("ignore")
        if form == "pickle":
            pickle.loads(path.read_bytes())  # noqa: S301
            assert trap.exists()


def test_allowed_globals_are_as_before_and_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"model": state(), "args": argparse.Namespace(a=1)})
    before = torch.serialization.get_safe_globals()
    failed: list[Exception] = []

    def read() -> None:
        for _ in range(10):
            try:
                read_checkpoint(path)
            except CheckpointError as error:
                failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert set(torch.serialization.get_safe_globals()) == set(before)  # torch keeps a set, so the order says nothing
    with torch.serialization.safe_globals([argparse.Namespace]):
        read_checkpoint(path)
        assert argparse.Namespace in torch.serialization.get_safe_globals()  # another's permission is not taken away


BROKEN = {
    "empty": (b"", "empty"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n", "git lfs pull"),
    "page": (b"\n <!DOCTYPE html><html><body>404</body></html>", "web page"),
    "xml": (b'<?xml version="1.0"?><Error/>', "web page"),
    "gzip": (b"\x1f\x8b\x08" + b"0" * 99, "unpack"),
    "text": (b"Not found", "neither"),
    "noise": (random.Random(1).randbytes(5000), "neither"),
    "pickle": (b"\x80\x02" + random.Random(2).randbytes(5000), "damaged"),
    "zip": (b"PK\x03\x04" + random.Random(3).randbytes(5000), "damaged"),
    "tensors": (struct.pack("<Q", 50) + b'{"a": {"dtype": "F32"', "damaged"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_say_what_they_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(BROKEN[kind][0])
    assert BROKEN[kind][1] in refused(path)


def test_missing_folder_and_unreadable(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "nowhere.pth")
    assert "folder" in refused(tmp_path)
    assert "cannot be read" in refused(saved(tmp_path / "a.pth", state()) / "below.pth")


def test_fingerprint_is_the_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert fingerprint(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(CheckpointError, match="cannot be read"):
        fingerprint(tmp_path / "b")


def whole_files(tmp_path: Path) -> list[bytes]:
    save_file(state(), tmp_path / "c")
    saved(tmp_path / "a", state())
    saved(tmp_path / "b", state(), _use_new_zipfile_serialization=False)
    return [(tmp_path / name).read_bytes() for name in "abc"]


def test_truncated_files_are_refused_wherever_they_end(tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    for data in whole_files(tmp_path):
        for share in (0.01, 0.2, 0.5, 0.9, 0.999):
            path.write_bytes(data[: max(1, int(len(data) * share))])
            refused(path)


def test_damaged_bytes_raise_nothing_but_checkpoint_error(tmp_path: Path) -> None:
    dice, path = random.Random(0), tmp_path / "flipped.pth"
    read = 0
    for data in whole_files(tmp_path):
        for _ in range(150):
            broken = bytearray(data)
            for _ in range(dice.choice([1, 1, 5])):
                broken[dice.randrange(len(broken))] = dice.randrange(256)
            path.write_bytes(broken)
            try:
                read_checkpoint(path)
                read += 1
            except CheckpointError:
                pass
    assert 0 < read < 450


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_zip_with_one_checkpoint(tmp_path: Path) -> None:
    for data in whole_files(tmp_path):
        members = {"__MACOSX/._a.pth": b"junk", "__MACOSX/b.pth": b"junk", "readme.txt": b"hello", "sub/": b"", "sub/a.pth": data}
        loaded = read_checkpoint(zipped(tmp_path / "a.pth.zip", members))
        assert same(dict(sorted(loaded.items())), dict(sorted(state().items())))


def test_zip_member_names_are_never_paths(tmp_path: Path) -> None:
    data, folder = whole_files(tmp_path)[0], tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    for name in ("../../out.pth", str(tmp_path / "absolute.pth")):
        path = zipped(folder / "a.zip", {name: data})
        assert same(read_checkpoint(path), state())
        path.unlink()
    assert sorted(tmp_path.rglob("*")) == before


def test_zips_that_are_not_one_checkpoint(tmp_path: Path) -> None:
    data = whole_files(tmp_path)[0]
    assert "2 weights files" in refused(zipped(tmp_path / "two.zip", {"a.pth": data, "b.pth": data}))
    assert "0 weights files" in refused(zipped(tmp_path / "none.zip", {"readme.txt": b"hello"}))
    assert "0 weights files" in refused(zipped(tmp_path / "empty.zip", {}))
    inner = zipped(tmp_path / "inner.zip", {"a.pth": data}).read_bytes()
    assert "zip" in refused(zipped(tmp_path / "nested.zip", {"a.pth": inner}))
    program = {"archive/data.pkl": b"\x80\x02}.", "archive/constants.pkl": b"\x80\x02).", "archive/version": b"3\n"}
    assert "TorchScript" in refused(zipped(tmp_path / "script.pt", program))


def test_zip_bombs_are_refused_before_they_unpack(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "bomb.pth.zip", {"a.pth": bytes(66 << 20)})
    assert bomb.stat().st_size < 1 << 20
    assert "unpack" in refused(bomb)
    # A torch file is a zip itself, and torch would inflate its members.
    with zipfile.ZipFile(saved(tmp_path / "plain.pth", {"a": torch.zeros(17 << 20)})) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert "unpack" in refused(zipped(tmp_path / "bomb.pth", members))


def test_tensor_that_claims_more_than_it_stores_is_refused(tmp_path: Path) -> None:
    huge = torch.zeros(1).expand(1 << 20, 1 << 20)
    assert "claims" in refused(saved(tmp_path / "a.pth", {"huge": huge}))
    small = torch.ones(1).expand(3, 4)
    assert torch.equal(read_checkpoint(saved(tmp_path / "b.pth", {"small": small}))["small"], small)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.complex64])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_not_finite_weights_are_named(tmp_path: Path, dtype: torch.dtype, bad: float) -> None:
    weights = {"fine": torch.ones(3, dtype=dtype), "void": torch.ones(0), "bad.one": torch.ones(3, dtype=dtype)}
    read_checkpoint(saved(tmp_path / "a.pth", weights))
    weights["bad.one"][1] = bad
    assert "bad.one" in refused(saved(tmp_path / "a.pth", weights))


def test_sparse_and_eight_bit_tensors(tmp_path: Path) -> None:
    assert "sparse" in refused(saved(tmp_path / "a.pth", {"w": torch.eye(3).to_sparse()}))
    eight = torch.ones(3).to(torch.float8_e4m3fn)
    assert read_checkpoint(saved(tmp_path / "b.pth", {"w": eight}))["w"].dtype == torch.float8_e4m3fn


def test_match_state_lists_all_kinds_in_ten_lines() -> None:
    match_state(state(), state(), "m")
    good, other = state(), state()
    other["head.weight"] = torch.zeros(5, 3)
    other["head.scale"] = other.pop("head.bias")
    with pytest.raises(CheckpointError) as caught:
        match_state(good, other, "tiny")
    text = str(caught.value)
    assert text.splitlines()[1:] == ["  head.weight is (5, 3), not (2, 3)", "  missing head.bias (2,)", "  unexpected head.scale (2,)"]
    assert "do not fit tiny (1 missing, 1 unexpected, 1 of another shape)" in text


@pytest.mark.parametrize(("count", "lines", "rest"), [(9, 10, None), (10, 10, 2), (500, 10, 492)])
def test_match_state_counts_the_rest(count: int, lines: int, rest: int | None) -> None:
    with pytest.raises(CheckpointError) as caught:
        match_state({str(i): torch.zeros(1) for i in range(count)}, {}, "m")
    found = str(caught.value).splitlines()
    assert len(found) == lines
    assert (f"... and {rest} more" in found[-1]) == (rest is not None)


def test_load_strict_is_all_or_nothing_and_copies() -> None:
    module: Any = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = {k: v.clone() for k, v in module.state_dict().items()}
    wanted = {k: torch.full_like(v, 3) for k, v in before.items()}
    for broken in (
        {k: v for k, v in wanted.items() if k != "1.running_var"},
        wanted | {"more": torch.zeros(1)},
        wanted | {"1.running_var": torch.zeros(1)},
        wanted | {"1.running_var": torch.zeros(2, dtype=torch.complex64)},
    ):
        with pytest.raises(CheckpointError):
            load_strict(module, broken, "m")
        assert same(dict(module.state_dict()), before)
    weight = module[0].weight
    load_strict(module, {k: v.half() if v.is_floating_point() else v for k, v in wanted.items()}, "m")
    assert same(dict(module.state_dict()), wanted)  # values of the file, in the module's own float32
    assert module[0].weight is weight
    wanted["0.weight"].zero_()
    assert weight.min() == 3
    with pytest.raises(CheckpointError, match="meta"):
        load_strict(nn.Linear(3, 2, device="meta"), nn.Linear(3, 2).state_dict(), "m")


class Odd(nn.Module):
    """One of everything that ``fill_random`` treats in a way of its own."""

    def __init__(self, device: str = "cpu", seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 64, 7, device=device)
        self.deep = nn.Conv2d(64, 64, 3, groups=64, device=device)
        self.norm = nn.BatchNorm2d(64, device=device)
        self.kqv = nn.Linear(64, 192, device=device)
        self.fc = nn.Linear(64, 1000, device=device)
        self.w = nn.Parameter(torch.randn(32, 64, device=device), requires_grad=False)
        self.pos_embed = nn.Parameter(torch.randn(1, 197, 64, device=device))
        self.register_buffer("index", torch.arange(9, device=device))
        self.register_buffer("passing", torch.arange(9.0, device=device), persistent=False)


def test_fill_random_depends_on_names_and_shapes_only() -> None:
    first, second, other = Odd(seed=1), Odd(seed=2).double(), Odd()
    fill_random(first)
    fill_random(second)
    fill_random(other, seed=1)
    empty = Odd("meta")
    with pytest.raises(ModelError, match="to_empty"):
        fill_random(empty)
    empty.to_empty(device="cpu")
    fill_random(empty)
    for name, value in first.state_dict().items():
        assert torch.equal(value.double(), second.state_dict()[name].double())
        if value.is_floating_point():
            assert torch.equal(value, empty.state_dict()[name])
            assert not torch.equal(value, other.state_dict()[name])
    # Renaming changes the values, and only that module's.
    pair: Any = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    fill_random(pair)
    assert not torch.equal(pair["a"].weight, pair["b"].weight)


def test_fill_random_gives_the_same_bits_on_every_machine() -> None:
    module = nn.Linear(2, 2)
    fill_random(module)
    assert module.weight.flatten().tolist() == EXPECTED


def test_fill_random_scales() -> None:
    module: Any = Odd()
    module.passing.fill_(5)
    fill_random(module)
    values = module.state_dict()
    assert values["conv.weight"].std().item() == pytest.approx(1 / np.sqrt(147), rel=0.05)
    assert values["deep.weight"].std().item() == pytest.approx(2 / 3, rel=0.1)
    assert values["fc.weight"].std().item() == pytest.approx(1.4 / 8, rel=0.02)
    assert values["fc.bias"].std().item() == pytest.approx(0.1, rel=0.1)
    assert values["w"].norm(dim=1).mean().item() == pytest.approx(np.sqrt(32), rel=0.05)
    assert values["pos_embed"].std().item() == pytest.approx(0.1, rel=0.05)
    assert values["norm.weight"].mean().item() == pytest.approx(1, abs=0.05)
    assert values["norm.running_var"].min() > 0.5
    assert values["norm.num_batches_tracked"] == 1
    assert values["index"].tolist() == list(range(9))
    assert module.passing.tolist() == [5] * 9
    inner = nn.ModuleDict({"attn": module})
    fill_random(inner)
    queries = inner.state_dict()["attn.kqv.weight"][:128]
    assert queries.std().item() == pytest.approx(0.18 * 1.4 / 8, rel=0.05)  # a performer's keys and queries


def test_fill_random_keeps_activations_in_range_and_attention_uneven() -> None:
    import timm

    x = torch.from_numpy(np.random.RandomState(0).standard_normal((2, 3, 64, 64)).astype(np.float32))
    for name in ("vit_tiny_patch16_224", "resnet18"):
        options: dict[str, Any] = {"img_size": 64} if "vit" in name else {}
        model: Any = timm.create_model(name, **options).eval()
        fill_random(model)
        with torch.inference_mode():
            logits = model(x)
        assert 0.3 < logits.std() < 30
        assert (logits[0] - logits[1]).std() > 0.01
        if "vit" in name:
            block = model.blocks[6]
            kept: dict[str, torch.Tensor] = {}
            block.attn.qkv.register_forward_hook(lambda module, args, output, kept=kept: kept.update(qkv=output))
            with torch.inference_mode():
                model(x)
            q, k, _ = kept["qkv"].reshape(2, -1, 3, 3, 64).permute(2, 0, 3, 1, 4)
            weights = (q @ k.transpose(-2, -1) / 8).softmax(-1)
            entropy = -(weights * weights.log()).sum(-1).mean() / np.log(weights.shape[-1])
            assert 0.3 < entropy < 0.9


def test_fill_random_touches_no_global_generator() -> None:
    module = Odd()
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the global generator is what is watched
    random.seed(5)

    def states() -> tuple[str, str, object]:
        return str(torch.get_rng_state().tolist()), str(np.random.get_state(legacy=False)), random.getstate()  # noqa: NPY002

    before = states()
    fill_random(module)
    assert states() == before
    torch.rand(1)
    assert states() != before


# Recorded once; integers of a Philox stream and correctly rounded arithmetic leave no room for differences.
EXPECTED = [-0.031937502324581146, -0.14406737685203552, -0.5533481240272522, 0.09901977330446243]
