"""An audit as the page shows it: made of some pictures in a worker process, or read from its folder."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib import Audit, Model
    from vizlib.auditing.report.html_parts import Section
    from vizlib.engine.jobs import Progress


@dataclass(frozen=True, eq=False)
class AuditView:
    """What is drawn of an audit: sentences, sections, what the gallery takes, and the files to take away.

    ``archive`` is the audit's folder as a ZIP file, empty for one that lies in a folder already; ``names`` are models, then methods,
    as the files have them, and ``file_names`` says which titles they stand for.
    """

    pictures: int
    complete: bool
    failures: tuple[tuple[str, str], ...]
    failed: int
    findings: tuple[str, ...]
    numbers: Section
    sections: tuple[Section, ...]
    gallery: dict[str, Any]
    rows: str
    html: bytes
    archive: bytes
    names: tuple[tuple[str, ...], tuple[str, ...]]
    file_names: str
    nbytes: int


def compute_audit(
    *models: Model,
    pictures: Mapping[str, Any],
    methods: Sequence[str],
    fit: str | None,
    heads: bool,
    lens: bool = False,
    scores: Sequence[str] = (),
    progress: Progress,
) -> AuditView:
    """The audit of pictures, arrays or the contents of files by name; its folder is here only until it was read."""
    from vizlib.auditing.api import audit
    from vizlib.engine.progress import told_to

    done: list[int] = [0, len(pictures) * len(models)]

    def report(there: int, total: int, _failed: list[tuple[str, str]]) -> None:
        done[:] = there, total
        heard()

    def heard(_completed: float = 0, _total: float | None = None, _message: str | None = None) -> None:
        """Say so within a part too: there others get their turn, and a visitor who left stops the work."""
        progress(done[0], done[1], f"{done[0]} of {done[1]} pictures and models")

    with told_to(heard), tempfile.TemporaryDirectory(prefix="vizlib-audit-") as home:
        result = audit(
            dict(pictures), list(models), list(methods), Path(home) / "audit", fit=fit, heads=heads, lens=lens, scores=scores, chunk=8,
            report=report,
        )  # fmt: skip
        return _view(result, dict(pictures), progress, archived=True)


def open_audit(folder: str, data: str, progress: Progress) -> AuditView:
    """The audit in a folder of this machine, with the pictures of ``data`` where that is given."""
    from vizlib.auditing.result import Audit

    return _view(Audit.open(Path(folder).expanduser()), data or None, progress, archived=False)


def _view(audit: Audit, data: Any, progress: Progress, *, archived: bool) -> AuditView:
    from vizlib.auditing.report.findings import findings
    from vizlib.auditing.report.report_data import gallery_data
    from vizlib.auditing.report.report_html import (
        failures,
        file_names,
        numbers_section,
        report_contents,
        report_page,
        report_sections,
        rows_words,
    )

    progress(0, None, "Reading the rows and maps")
    view, found, pictures = report_contents(audit, data=data, models=None, clusters=True)
    gallery = gallery_data(view, pictures)
    html = report_page(view, found, pictures, with_data=data is not None).encode()
    archive = _zipped(audit.folder, html) if archived else b""
    numbers = numbers_section(view)
    size = len(html) + len(archive) + len(json.dumps(gallery))
    return AuditView(
        view.facts["pictures"], view.complete, tuple(failures(view)[:20]), view.totals.failed, tuple(findings(view)), numbers,
        tuple(report_sections(view, found, pictures)), gallery, rows_words(view, with_data=data is not None), html, archive,
        (tuple(view.models), tuple(view.methods)), file_names(view), size,
    )  # fmt: skip


def _zipped(folder: Path, html: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder.parent).as_posix())
        archive.writestr("audit/report.html", html)
    return buffer.getvalue()
