"""Weights in and out of files: read without running anything they contain, matched strictly, loaded all or nothing."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import re
import struct
import threading
import zipfile
import zlib
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import torch
from torch.serialization import get_safe_globals, safe_globals

from vizlib.errors import CheckpointError, ModelError
from vizlib.zoo.inert_objects import inert_globals, is_harmless, largest_storage, named_globals
from vizlib.zoo.training_checkpoints import describe, network_state
from vizlib.zoo.zip_members import LEAST_BOUND, most_unpacked, read_member, read_npz

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor, nn

SUFFIXES: Final = (".pth", ".pt", ".bin", ".pth.tar", ".ckpt", ".safetensors")
FOREIGN: Final = (
    (b"\x89HDF", "a Keras or other HDF5 file"),
    (b"\x93NUMPY", "a single numpy array"),
    (b"GGUF", "a GGUF file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
)
MAX_UNZIPPED: Final = 2 << 30  # bytes that one member of a zip may unpack to: it is held in memory
MOST_KINDS: Final = 1000  # of foreign objects beside the weights
MAX_LINES: Final = 10
# All that reading a damaged pickle, zip or storage was seen to raise; none of them means that code of the file ran.
DAMAGED: Final = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    ImportError,
)

_allowing = threading.Lock()


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a safetensors or torch file by name, on the CPU, in the precision of the file.

    The contents decide the format, not the suffix; but a file called .safetensors is read as that and as nothing else. A zip that holds
    exactly one such file is read too, and an NPZ with its names as they are. Training checkpoints are unwrapped and prefixes stripped, as
    ``vizlib.zoo.training_checkpoints`` lists them. Nothing in the file is ever run: objects beside the weights become empty shells, a
    whole module its weights; one that asks for Python's own functions raises CheckpointError, as do files that are damaged or claim more
    than they hold, and weights that are not finite.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder: give the path of the weights file inside it.")
        with path.open("rb") as file:
            loaded = _read(file, str(path), path)
            most = most_unpacked(file.seek(0, io.SEEK_END))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist: check the path of the weights file.") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    state = network_state(loaded, str(path))
    stored = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in state.values() if _is_plain(tensor)}
    if sum(stored.values()) > most:
        raise CheckpointError(f"{path} claims {sum(stored.values()):,} bytes of weights, far more than it holds: it is damaged or hostile.")
    return {key: _checked(tensor, key, str(path)) for key, tensor in state.items()}


def _read(file: BinaryIO, name: str, path: Path | None) -> object:
    """What the file holds, whatever its format; ``path`` is None for a member of a zip, which is in memory."""
    head = file.read(64)
    file.seek(0)
    if not head:
        raise CheckpointError(f"{name} is empty: download or copy it again.")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{name} is a Git LFS pointer, not the weights: run `git lfs pull` in its repository.")
    named = path is not None and path.suffix.lower() == ".safetensors"
    if head[8:9] == b"{" and (named or head[0] != 0x80):
        return _read_safetensors(file, name, path)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise CheckpointError(f"{name} is a web page, not weights: download it again from the file's direct link.")
    if named:
        raise CheckpointError(f"{name} is called .safetensors and is not one: convert it to safetensors, or download it again.")
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")):
        raise CheckpointError(f"{name} is a compressed archive: unpack it and give the weights file inside.")
    if head.startswith(b"PK"):
        return _read_zip(file, name, path)
    if head[0] == 0x80:
        return _read_torch(file, name)
    kind = next((kind for magic, kind in FOREIGN if head.startswith(magic)), None)
    if kind is None and head[:1] == b"\x08" and any(maker in head for maker in (b"pytorch", b"onnx", b"tf2onnx")):
        kind = "an ONNX graph"
    if kind is not None:
        raise CheckpointError(f"{name} is {kind}, not a torch weights file: save the torch module's state_dict() and give that file.")
    raise CheckpointError(f"{name} is neither a safetensors nor a torch weights file: give a {', '.join(SUFFIXES)} file.")


def _read_safetensors(file: BinaryIO, name: str, path: Path | None) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load, load_file

    try:
        return load(file.read()) if path is None else load_file(path)
    except (SafetensorError, *DAMAGED) as error:
        raise CheckpointError(f"{name} is a damaged or truncated safetensors file ({error}): download or copy it again.") from error


def _read_zip(file: BinaryIO, name: str, path: Path | None) -> object:
    """A torch file, which is a zip itself, or the one weights file in a zip; no member's name is ever used as a path."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            unpacked, packed = sum(m.file_size for m in members), file.seek(0, io.SEEK_END)
            if unpacked > most_unpacked(packed):
                raise CheckpointError(f"{name} would unpack from {packed} to {unpacked} bytes, which no weights do: it is refused.")
            if any(m.filename.endswith("/constants.pkl") for m in members):
                raise CheckpointError(f"{name} is a TorchScript program, not weights: save the module's state_dict() and give that file.")
            if members and all(m.filename.endswith(".npy") for m in members):
                return read_npz(file, name)
            if not any(m.filename.endswith("/data.pkl") for m in members):
                members = [m for m in members if m.filename.endswith(SUFFIXES) and not m.filename.startswith("__MACOSX/")]
                if len(members) != 1 or path is None:
                    raise CheckpointError(f"{name} is a zip with {len(members)} weights files, not one: unpack it and give one of them.")
                if members[0].file_size > MAX_UNZIPPED:
                    raise CheckpointError(
                        f"{name} unpacks to {members[0].file_size} bytes, over {MAX_UNZIPPED}: unpack it and give the file."
                    )
                return _read(io.BytesIO(read_member(archive, members[0])), f"{name} ({members[0].filename})", None)
    except DAMAGED as error:
        raise CheckpointError(f"{name} is a damaged, truncated or locked zip ({error}): download or copy it again.") from error
    file.seek(0)
    return _read_torch(file, name)


def _read_torch(file: BinaryIO, name: str) -> object:
    claimed = largest_storage(file)
    if claimed > most_unpacked(file.seek(0, io.SEEK_END)):
        raise CheckpointError(f"{name} claims {claimed:,} values for one tensor, far more than it holds: it is damaged or hostile.")
    try:
        return _load(file)
    except DAMAGED as error:
        refused: BaseException = error
    foreign, stacked = named_globals(file)
    wanted = next((each for each in (*foreign, *stacked) if not is_harmless(each)), "")
    if wanted:
        shown = re.sub(r"[^\w.]", "?", wanted)[:120]
        raise CheckpointError(
            f"{name} wants to run {shown} while it is read, which a weights file must not do: "
            "convert it to safetensors where you trust it, and give that file."
        ) from refused
    if len(foreign) > MOST_KINDS:
        raise CheckpointError(f"{name} holds objects of {len(foreign):,} kinds beside its weights: it is damaged or hostile.")
    if foreign:
        try:
            return _load(file, foreign)
        except DAMAGED as error:
            refused = error
    reason = re.sub(r"^Weights only load failed.*?WeightsUnpickler error:", "", str(refused), flags=re.DOTALL).strip().split("\n")[0]
    if foreign and "Can only" in reason:
        shown = re.sub(r"[^\w., ]", "?", ", ".join(foreign[:3]))[:120]
        raise CheckpointError(
            f"{name} holds {shown}, which cannot be left out while it is read "
            f"({reason[:120]}): save the module's state_dict() alone, and give that file."
        ) from refused
    raise CheckpointError(
        f"{name} is damaged, truncated or not in torch.save's own format ({reason[:120]}): "
        "download or copy it again, or convert it to safetensors."
    ) from refused


def _load(file: BinaryIO, foreign: Sequence[str] = ()) -> object:
    """What torch's safe reader makes of a file; objects of the ``foreign`` classes become shells."""
    file.seek(0)
    if not foreign:
        return torch.load(file, map_location="cpu", weights_only=True)
    # The list of allowed globals belongs to the process: one thread at a time changes it, and what others added to it stays.
    with _allowing:
        known = {item[1] if isinstance(item, tuple) else f"{item.__module__}.{item.__qualname__}" for item in get_safe_globals()}
        with safe_globals(inert_globals([each for each in foreign if each not in known])):
            return torch.load(file, map_location="cpu", weights_only=True)


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"


def _checked(tensor: Tensor, key: str, name: str) -> Tensor:
    if not _is_plain(tensor):
        raise CheckpointError(f"{name} holds {key} as a sparse, quantized or empty tensor: save it as an ordinary one.")
    if tensor.numel() * tensor.element_size() > max(LEAST_BOUND, tensor.untyped_storage().nbytes()):
        raise CheckpointError(f"{name} claims {tuple(tensor.shape)} for {key}, but stores far fewer values: it is damaged or hostile.")
    if tensor.numel() and (tensor.is_floating_point() or tensor.is_complex()):
        values = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
        if values.element_size() == 1:  # eight-bit floats have no minimum of their own
            values = values.float()
        low, high = torch.aminmax(values)
        if not (math.isfinite(low.item()) and math.isfinite(high.item())):
            raise CheckpointError(f"{name} holds NaN or infinity in {key}: the training that wrote it failed; use an earlier checkpoint.")
    return tensor


def fingerprint(*paths: str | os.PathLike[str]) -> str:
    """The SHA-256 of a weights file in hex, of several that of theirs, line by line; CheckpointError when one cannot be read."""
    digests = [_digest(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def state_fingerprint(module: nn.Module) -> str:
    """The SHA-256 of a module's weights by their names and values, whatever file they came in."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        held = (
            value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            if isinstance(value, torch.Tensor)
            else repr(value).encode()
        )
        digest.update(name.encode() + bytes(held))
    return digest.hexdigest()


def _digest(path: str | os.PathLike[str]) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror or error}): check the path of the weights file.") from error


def match_state(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], what: str) -> None:
    """Compare names and shapes strictly; CheckpointError lists, in ten lines at most, what is missing, unexpected or of another shape."""
    missing = [f"missing {key[:80]} {tuple(value.shape)}" for key, value in expected.items() if key not in state]
    unexpected = [f"unexpected {key[:80]} {tuple(value.shape)}" for key, value in state.items() if key not in expected]
    other = [
        f"{key[:80]} is {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    kinds: Iterable[tuple[str | None, ...]] = zip_longest(other, missing, unexpected)
    lines = [line for row in kinds for line in row if line]  # each kind in turn, so that none hides another
    if not lines:
        return
    if len(lines) > MAX_LINES - 1:
        lines = [*lines[: MAX_LINES - 2], f"... and {len(lines) - MAX_LINES + 2} more"]
    counts = f"{len(missing)} missing, {len(unexpected)} unexpected, {len(other)} of another shape"
    advice = "choose the model they were trained as" + ("" if missing or unexpected else ", or say the image size, where it was another")
    sentence = f"The weights do not fit {what} ({counts}): {advice}; the file holds {describe(state)}."
    raise CheckpointError("\n  ".join([sentence, *lines]))


def load_strict(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Copy ``state`` into ``module``, all or nothing, in the module's own precision (float16 files run in float32).

    CheckpointError when a name or shape differs, when complex values would lose a half, or when the module has no memory yet.
    """
    expected: dict[str, Any] = module.state_dict()
    match_state(expected, state, what)
    for key, value in expected.items():
        if value.is_meta:
            raise CheckpointError(f"{what} is still on the meta device: call to_empty() before its weights are loaded.")
        if state[key].is_complex() and not value.is_complex():
            raise CheckpointError(f"The weights of {what} are complex in {key}: save them as real numbers.")
    module.load_state_dict(dict(state), strict=True, assign=False)


def fill_random(module: nn.Module, seed: int = 0) -> None:
    """Fill parameters and persistent float buffers in place, each from its name, shape and ``seed`` alone.

    Uniform values from a Philox stream of integers, so every machine gets the same bits and no global generator moves.
    Scales keep activations in range and attention uneven. Frozen sinusoid and performer tables are filled by name too.
    Integer buffers (but ``num_batches_tracked``) and non-persistent buffers stay: after ``to_empty`` rebuild them first.
    ModelError when the module is still on the meta device.
    """
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_meta:
                raise ModelError(f"{name} is still on the meta device: call to_empty() before filling it.")
            if name.endswith("num_batches_tracked"):
                tensor.fill_(1)
            elif tensor.is_floating_point():
                values = np.asarray(random_values(name, tuple(tensor.shape), seed))  # a number where the shape is ()
                tensor.copy_(torch.from_numpy(values))


def _noise(key: int, count: int) -> np.ndarray:
    """Uniform float32 values of mean 0 and standard deviation 1, made a million at a time."""
    stream = np.random.Philox(key=key)
    noise = np.empty(count, np.float32)
    for start in range(0, count, 1 << 20):
        part = noise[start : start + (1 << 20)]
        part[:] = stream.random_raw(part.size) >> np.uint64(40)  # 24 bits: exact in float32
    return (noise * np.float32(2**-23) - np.float32(1)) * np.float32(math.sqrt(3))


def random_values(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """What ``fill_random`` gives a tensor of this name and shape, float32."""
    noise = _noise(zlib.crc32(name.encode()) | seed << 64, math.prod(shape)).reshape(shape)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        return np.float32(1) + np.float32(0.25) * noise
    if leaf == "running_mean" or leaf.endswith("bias"):
        return np.float32(0.1) * noise
    if len(shape) < 2:  # gains of normalisations and layer scales, temperatures
        return np.float32(1) + np.float32(0.1) * noise
    if leaf == "w":  # a performer's random features: rows nearly orthogonal, of norm sqrt(rows)
        return np.float32(math.sqrt(shape[0] / shape[1])) * noise
    if not leaf.endswith("weight"):  # position tables, class tokens
        return np.float32(0.1) * noise
    # Less for linear layers makes attention even, less for depth-wise ones lets mobile networks fade, more for convolutions
    # lets a ResNet-152 grow without end (measured).
    gain = 1.4 if len(shape) == 2 else 2.0 if shape[1] == 1 else 1.0  # linear, depth-wise, convolution
    noise *= np.float32(gain / math.sqrt(max(1, math.prod(shape[1:]))))
    if ".kqv." in name:  # a performer's exp(w.x - |x|^2 / 2) needs |k| and |q| near 2
        noise[: 2 * shape[0] // 3] *= np.float32(0.18)
    return noise
