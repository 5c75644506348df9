"""``vizlib.audit``: models and methods over a data set, chunk by chunk, here or on a cluster."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.auditing.chunk import audit_chunk
from vizlib.auditing.model_sources import ModelSource, model_sources, state_fingerprint
from vizlib.auditing.pictures import Item, audit_pictures
from vizlib.auditing.plan import CHUNK, FORMAT, ChunkPlan, MethodPlan, ModelPlan, begin, write_atomically
from vizlib.auditing.result import Audit
from vizlib.catalog.methods import method_card
from vizlib.engine.jobs import Progress
from vizlib.engine.work_order import Lane, WorkOrder
from vizlib.errors import AuditError, MethodError, TrainingError
from vizlib.explainers.api import check_method_fits
from vizlib.model_report.accuracy import match_classes

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from vizlib.auditing.chunk import Part
    from vizlib.auditing.pictures import AuditPictures
    from vizlib.engine.dispatcher import Dispatcher

Report = Callable[[int, int, list[tuple[str, str]]], None]
AHEAD = 2  # chunks for each worker that are handed out at once
PATIENCE = 60.0  # seconds until a cluster without any worker is given up


def audit(
    data: Any,
    models: Any,
    methods: Any = "rollout",
    out: str | os.PathLike[str] = "audit",
    *,
    target: int | str = "prediction",
    fit: str | None = None,
    heads: bool = False,
    workers: int = 0,
    scheduler: str = "",
    device: str = "auto",
    chunk: int = CHUNK,
    report: Report = lambda *_: None,
) -> Audit:
    """What ``models`` answer and where they look, for every picture of ``data``, in the folder ``out``: rows in Parquet, maps in NPZ.

    ``models`` is a name, MODULE:FUNCTION, NAME=CHECKPOINT (a glob takes a run's epochs), a ``Model`` or a module, or a list; ``methods`` a
    name, a pair (name, options), or a list. ``target`` is "prediction", "label" or one class. Stopped at any moment, the same call goes on;
    with as many threads the files are the same bytes. ``workers`` processes of this machine, or those of a ``scheduler``, share the work.
    ``report`` hears of pictures done, pictures in all (each counts once a model) and the new (name, reason) of those that failed.
    AuditError for data without pictures, a folder of another audit, and workers that are lost; MethodError for a method that does not fit.
    """
    pictures = audit_pictures(data)
    sources = model_sources(models, device)
    method_plans = _method_plans(methods)
    chunk_size = _size(chunk)
    if workers < 0 or workers > 256:
        raise AuditError(f"workers is a number of processes from 0 (this one) to 256, not {workers}.")
    if (workers or scheduler) and any(isinstance(picture.source, Item) for picture in pictures.items):
        raise AuditError("A data set in memory is gone through in this process: leave workers and scheduler out, or give files.")
    folder = Path(out)
    plans = [_model_plan(source, pictures, method_plans) for source in sources]
    begin(folder, _facts(pictures, plans, method_plans, target, fit, chunk_size, heads=heads))
    chunks = [
        ChunkPlan(
            plan,
            number,
            start // chunk_size,
            start,
            tuple(pictures.items[start : start + chunk_size]),
            method_plans,
            str(target),
            fit,
            heads,
        )
        for number, plan in enumerate(plans)
        for start in range(0, len(pictures.items), chunk_size)
    ]
    total = sum(len(each.pictures) for each in chunks)
    left = [each for each in chunks if not _is_there(folder, each)]
    there = total - sum(len(each.pictures) for each in left)
    report(there, total, [])

    def keep(plan: ChunkPlan, part: Part) -> None:
        nonlocal there
        # The rows come last: a chunk counts as done once they are there.
        write_atomically(folder / "maps" / f"{plan.stem}.npz", part.maps)
        write_atomically(folder / "pictures" / f"{plan.stem}.parquet", part.rows)
        there += part.pictures
        report(there, total, list(part.failed))

    if workers or scheduler:
        _by_workers(left, sources, keep, workers, scheduler)
    else:
        _here(left, sources, keep)
    return Audit(folder)


def _here(left: Sequence[ChunkPlan], sources: Sequence[ModelSource], keep: Callable[[ChunkPlan, Part], None]) -> None:
    """All chunks in this process, one model after the other, of which one is in memory at a time."""
    model, number = None, -1
    for plan in left:
        if plan.model_number != number:
            model, number = None, plan.model_number
            model = sources[number].load()
        assert model is not None  # noqa: S101  a plan's number is never -1
        keep(plan, audit_chunk(model, plan=plan, progress=Progress()))


def _by_workers(
    left: Sequence[ChunkPlan], sources: Sequence[ModelSource], keep: Callable[[ChunkPlan, Part], None], workers: int, scheduler: str
) -> None:
    """All chunks by processes: two for each are under way, in order; parts are written here, by one writer."""
    live = next((source.name for source in sources if not source.portable), None)
    if live is not None:
        raise AuditError(f"{live} lives in this process: give workers a name, a checkpoint or MODULE:FUNCTION, or leave workers out.")
    waiting, running = deque(left), deque[Any]()
    with _dispatcher(workers, scheduler) as dispatcher:
        places = _places(dispatcher)
        while waiting or running:
            places = max(places, dispatcher.counts()["places"])
            while waiting and len(running) < AHEAD * places:
                plan = waiting.popleft()
                source = sources[plan.model_number]
                order = WorkOrder(partial(audit_chunk, plan=plan), ((source.identity, source.make),), seconds=24 * 3600)
                running.append((plan, dispatcher.submit("audit", plan.stem, order, lane=Lane.HEAVY)))
            plan, job = running.popleft()
            job.wait()
            keep(plan, job.result())


@contextmanager
def _dispatcher(workers: int, scheduler: str) -> Iterator[Dispatcher]:
    from vizlib.engine.cluster_backend import ClusterBackend, local_settings
    from vizlib.engine.dispatcher import Dispatcher
    from vizlib.engine.limits import Limits

    settings = local_settings(imports=("vizlib.auditing.chunk",), workers=workers or 1)
    woken = threading.Event()
    backend = ClusterBackend(settings, scheduler, changed=woken.set)
    dispatcher = Dispatcher(backend, Limits(jobs=1 << 20))
    backend.changed = dispatcher.wake
    try:
        yield dispatcher
    finally:
        dispatcher.close()


def _places(dispatcher: Dispatcher) -> int:
    """How many workers there are, once there is one; AuditError where none comes."""
    until = time.monotonic() + PATIENCE
    while not (places := dispatcher.counts()["places"]):
        if time.monotonic() > until:
            raise AuditError("No worker came within a minute: check the scheduler's address, or leave it out.")
        time.sleep(0.05)
    return places


def _is_there(folder: Path, plan: ChunkPlan) -> bool:
    return (folder / "pictures" / f"{plan.stem}.parquet").is_file() and (folder / "maps" / f"{plan.stem}.npz").is_file()


def _method_plans(methods: Any) -> tuple[MethodPlan, ...]:
    pair = isinstance(methods, tuple) and len(methods) == 2 and isinstance(methods[1], dict)
    listed = [methods] if isinstance(methods, str) or pair else list(methods)
    plans: list[MethodPlan] = []
    for method in listed:
        name, options = (method, {}) if isinstance(method, str) else method
        resolved = method_card(name).resolve(options)
        count = sum(plan.method == name for plan in plans)
        plans.append(MethodPlan(name if not count else f"{name}-{count + 1}", name, resolved))
    if not plans:
        raise MethodError("An audit needs at least one method.")
    return tuple(plans)


def _model_plan(source: ModelSource, pictures: AuditPictures, methods: Sequence[MethodPlan]) -> ModelPlan:
    """A model as it is found now: its methods are checked before anything is written, and it is let go of again."""
    model = source.load()
    for method in methods:
        check_method_fits(model, method_card(method.method))
    classes: list[int | None] = []
    matched = ""
    if pictures.classes and model.num_classes:
        try:
            classes, matched = match_classes(model, pictures.classes)
        except TrainingError as error:
            classes, matched = [None] * len(pictures.classes), str(error)
    return ModelPlan(source.name, state_fingerprint(model), tuple(classes), matched)


def _facts(
    pictures: AuditPictures, models: Sequence[ModelPlan], methods: Sequence[MethodPlan], target: int | str, fit: str | None, chunk: int,
    *, heads: bool,
) -> dict[str, Any]:  # fmt: skip
    return {
        "format": FORMAT,
        "pictures": len(pictures.items),
        "data": pictures.fingerprint(),
        "classes": [list(names) for names in pictures.classes],
        "models": [{"name": plan.name, "weights": plan.weights, "matched": plan.matched, "classes": list(plan.classes)} for plan in models],
        "methods": [{"name": plan.name, "method": plan.method, "options": plan.options} for plan in methods],
        "target": str(target),
        "fit": fit,
        "chunk": chunk,
        "heads": heads,
        "made_with": {name: version(name) for name in ("torch", "timm", "numpy", "pyarrow", "pillow")},
    }


def _size(chunk: int) -> int:
    if isinstance(chunk, bool) or not isinstance(chunk, int) or not 1 <= chunk <= 4096:
        raise AuditError(f"chunk is a number of pictures from 1 to 4096, not {str(chunk)[:40]!r}.")
    return chunk
