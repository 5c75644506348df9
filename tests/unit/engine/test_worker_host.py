"""The threads and models of a process that does work."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import engine_work as work
import numpy as np
import pytest
import torch

from vizlib.engine import worker_memory
from vizlib.engine.handover import MissingBlobError, pack, unpack
from vizlib.engine.jobs import JobState
from vizlib.engine.work_order import Lane, WorkOrder
from vizlib.engine.worker_host import WorkerHost
from vizlib.errors import CardFullError


@pytest.fixture
def host():
    made = WorkerHost(1 << 30)
    yield made
    made.close()


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_heavy_work_stands_aside_for_a_light_request(host):
    steps, inside, go = [], threading.Event(), threading.Event()

    def heavy(*, progress):
        while not progress.cancelled():
            progress(len(steps))
            steps.append(time.monotonic())
            time.sleep(0.005)

    def light(*, progress):
        inside.set()
        assert go.wait(10)
        return len(steps)

    first = host.start("1", WorkOrder(heavy), Lane.HEAVY)
    second = host.start("2", WorkOrder(light), Lane.LIGHT)
    assert inside.wait(10)
    time.sleep(0.05)  # the step that was under way ends
    count = len(steps)
    time.sleep(0.2)
    assert len(steps) == count
    go.set()
    assert second.wait(10)
    until(lambda: len(steps) >= count + 3)
    host.stop("1")
    assert first.wait(10)
    assert first.state is JobState.CANCELLED


def test_bytes_in_and_bytes_out_with_a_picture_that_comes_first(host):
    photo = work.Photo("p", np.arange(60, dtype=np.uint8).reshape(4, 5, 3))
    from functools import partial

    data, named = pack(WorkOrder(partial(work.mean_of, photo)))
    with pytest.raises(MissingBlobError):
        host.run_packed("1", data, "light", lambda _: None)
    import pickle

    host.hold("p", pickle.dumps(photo))
    outcome = unpack(host.run_packed("2", data, "light", lambda _: None), named, light=True)
    assert outcome.value.image is photo.pixels
    assert np.array_equal(outcome.value.values, photo.pixels.mean(2))


def test_reports_say_how_far_and_what_there_is(host):
    reports = []
    from functools import partial

    data, _ = pack(WorkOrder(partial(work.count_to, 3)))
    assert unpack(host.run_packed("1", data, "heavy", reports.append), {}).value == 3
    states = [unpack(report, {}) for report in reports]
    assert states[0].message == "Counting"
    assert [state.shared for state in states if state.shared] == [[0], [0], [1], [1], [2]] or states[-1].shared == [2]


def test_an_error_that_cannot_be_copied_is_told_in_words(host):
    data, _ = pack(WorkOrder(work.fail_oddly))
    outcome = unpack(host.run_packed("1", data, "light", lambda _: None), {})
    assert str(outcome.error).endswith("one and two")


def test_a_model_is_made_once_and_forgotten_when_told(host):
    made = []

    class Held:
        module = type("Module", (), {"parameters": lambda self: [], "buffers": lambda self: []})()

    def make(progress):
        made.append(progress)
        return Held()

    def use(model, *, progress):
        return model

    order = WorkOrder(use, (("own:1", make),))
    first, second = (host.start(number, order, Lane.LIGHT) for number in "12")
    assert first.wait(10)
    assert second.wait(10)
    assert first.result() is second.result()
    host.forget("own:1")
    again = host.start("3", order, Lane.LIGHT)
    assert again.wait(10)
    assert again.result() is not first.result()
    assert len(made) == 2


@pytest.mark.parametrize("where", ["model", "memory"])
def test_heavy_work_does_not_stand_aside_for_who_waits_for_what_it_makes(host, where):
    begun = threading.Event()

    class Held:
        module = type("Module", (), {"parameters": lambda self: [], "buffers": lambda self: []})()

    def make(progress):
        begun.set()
        for step in range(3):
            progress(step)
            time.sleep(0.05)
        return Held()

    def use(*models, progress):
        if where == "memory":
            worker_memory.remember(("own:deadlock", where), lambda: make(progress), lambda _: 1)
        return len(models)

    order = WorkOrder(use, (("own:deadlock", make),) if where == "model" else ())
    heavy = host.start("1", order, Lane.HEAVY)
    assert begun.wait(10)
    light = host.start("2", order, Lane.LIGHT)
    assert light.wait(20)
    assert heavy.wait(20)
    assert (heavy.state, light.state) == (JobState.DONE, JobState.DONE)


def test_what_nobody_asked_for_waits_for_what_somebody_did(host):
    steps, go = [], threading.Event()

    def unasked(*, progress):
        while not progress.cancelled():
            progress(len(steps))
            steps.append(time.monotonic())
            time.sleep(0.005)

    def asked(*, progress):
        assert go.wait(10)

    first = host.start("1", WorkOrder(unasked), Lane.UNASKED)
    until(lambda: steps)
    second = host.start("2", WorkOrder(asked), Lane.HEAVY)
    time.sleep(0.2)
    count = len(steps)
    time.sleep(1.5)  # longer than heavy work waits for one light request
    assert len(steps) <= count
    go.set()
    assert second.wait(10)
    until(lambda: len(steps) >= count + 3)
    host.stop("1")
    assert first.wait(10)


@dataclass
class OnACard:
    """A model that says where it is."""

    place: str = "card"

    @property
    def module(self):
        return torch.nn.Identity()

    def on_cpu(self):
        return OnACard("cpu")


def where_there_is_room(room):
    """Work that runs on a card only once ``room()`` holds, and gives the places of its attempts."""
    places = []

    def run(model, *, progress):
        places.append(model.place)
        if model.place == "card" and not room():
            raise CardFullError("full")
        return places

    return run


def test_a_full_card_is_freed_of_others_models_and_then_the_processor_works(host):
    def made(_):
        return OnACard()

    host.start("0", WorkOrder(where_there_is_room(lambda: True), (("other", made),)), Lane.LIGHT).wait(10)
    freed = host.start("1", WorkOrder(where_there_is_room(lambda: host.models.peek("other") is None), (("own", made),)), Lane.LIGHT)
    assert freed.wait(10)
    assert freed.result() == ["card", "card"]
    said = []
    never = host.start(
        "2", WorkOrder(where_there_is_room(lambda: False), (("own", made),)), Lane.LIGHT, lambda state: said.append(state.message)
    )
    assert never.wait(10)
    assert never.result() == ["card", "card", "cpu"]
    assert "processor" in said[-1]
    assert host.models.peek("own").place == "card"
    copy = host.models.peek("own on the CPU")
    assert copy.place == "cpu"
    assert host.start("3", WorkOrder(where_there_is_room(lambda: False), (("own", made),)), Lane.LIGHT).wait(10)
    assert host.models.peek("own on the CPU") is copy
    host.forget("own")
    assert host.models.peek("own on the CPU") is None
