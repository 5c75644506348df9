"""Weights from the Hugging Face hub, through its own client and cache, with errors a visitor understands."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.errors import CancelledError, DownloadError
from vizlib.zoo.offline_files import check_disk, status_hint

if TYPE_CHECKING:
    from vizlib.zoo.offline_files import Cancelled, Progress


def hub_cached(repo_id: str, filename: str, revision: str | None = None) -> Path | None:
    """Where a file of the hub lies in the hub's own cache; None where it would have to be fetched. Imports nothing of the hub."""
    own = os.environ.get("HF_HUB_CACHE")
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    folder = (Path(own) if own else Path(home) / "hub").expanduser() / f"models--{repo_id.replace('/', '--')}"
    try:
        commit = (folder / "refs" / (revision or "main")).read_text(encoding="utf-8").strip()
    except OSError:
        commit = revision or ""
    path = folder / "snapshots" / commit / filename
    return path if commit and path.is_file() else None


def hub_size(repo_id: str, filename: str, revision: str | None = None) -> int | None:
    """The size in bytes of a file on the Hugging Face hub (``HF_ENDPOINT`` is honoured); DownloadError when it cannot be reached."""
    import huggingface_hub as hub

    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        return hub.get_hf_file_metadata(hub.hf_hub_url(repo_id, filename, revision=revision, endpoint=endpoint), endpoint=endpoint).size
    except (hub.errors.HTTPError, hub.errors.EntryNotFoundError, ValueError, OSError) as error:
        raise _explained(error, repo_id, filename, revision) from error


def hub_weights(
    repo_id: str,
    filename: str,
    revision: str | None = None,
    *,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Path:
    """The local path of a file of a model on the Hugging Face hub, in the hub's own cache; one that is there needs no network.

    ``progress`` and ``cancelled`` are as for ``download``; hub downloads start over after a stop. DownloadError says what failed.
    """
    import huggingface_hub as hub

    try:
        cached = hub.try_to_load_from_cache(repo_id, filename, revision=revision, cache_dir=cache_dir)
        if isinstance(cached, str):
            return Path(cached)
        check_disk(_existing(Path(cache_dir or hub.constants.HF_HUB_CACHE)), hub_size(repo_id, filename, revision) or 0, filename)
        path = hub.hf_hub_download(
            repo_id,
            filename,
            revision=revision,
            cache_dir=cache_dir,
            endpoint=os.environ.get("HF_ENDPOINT") or None,
            tqdm_class=_bar_class(progress, cancelled),
        )
    except (hub.errors.HTTPError, hub.errors.EntryNotFoundError, ValueError, OSError, RuntimeError) as error:
        raise _explained(error, repo_id, filename, revision) from error
    return Path(path)


def _bar_class(progress: Progress | None, cancelled: Cancelled | None) -> type[Any]:
    """A progress bar that draws nothing, tells ``progress`` and stops when cancelled."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **(kwargs | {"disable": True}))
            self.n, self.total = kwargs.get("initial", 0), kwargs.get("total")

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if progress:
                progress(int(self.n), self.total)
            if cancelled and cancelled():
                raise CancelledError("The download from the hub was stopped.")

        def update_transfer(self, n: float | None = 1) -> None:
            """Says that one bar is enough: without it the hub counts every byte in two."""

    return Bar


def _explained(error: Exception, repo_id: str, filename: str, revision: str | None) -> DownloadError:
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return DownloadError(f"{repo_id} is not in the cache and HF_HUB_OFFLINE is set: unset it, or use a bundled model.")
    if isinstance(error, errors.GatedRepoError):
        return DownloadError(f"{repo_id} is gated: accept its terms on its hub page, log in with `hf auth login` and try again.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return DownloadError(f"{repo_id} is not on the hub, or private: check the name, or log in with `hf auth login`.")
    if isinstance(error, errors.RevisionNotFoundError):
        return DownloadError(f"{repo_id} has no revision {revision!r}: name a branch, tag or commit of it.")
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return DownloadError(f"{repo_id} has no file {filename!r} in revision {revision or 'main'}: check its list of files.")
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        code = error.response.status_code
        return DownloadError(f"The hub answered HTTP {code} for {repo_id}/{filename}: {status_hint(code)}; try again later.")
    if isinstance(error, errors.HFValidationError):
        return DownloadError(f"{repo_id!r} is not the name of a model on the hub: write it as owner/name.")
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DownloadError(f"The disk of the hub's cache is full: free some space for {repo_id}, or set HF_HOME to another disk.")
    return DownloadError(
        f"The hub could not be reached for {repo_id}/{filename} ({str(error).splitlines()[0] if str(error) else type(error).__name__}): "
        "this machine may be offline; check the network connection and HF_ENDPOINT, or use a bundled model."
    )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
