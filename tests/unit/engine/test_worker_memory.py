from __future__ import annotations

import numpy as np
import pytest

from vizlib.engine import worker_memory


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.setattr(worker_memory, "MOST_BYTES", 1000)
    worker_memory._memory.cache_clear()
    yield
    worker_memory._memory.cache_clear()


def remembered(key, size=100):
    calls = []

    def make():
        calls.append(key)
        return np.zeros(size, np.uint8)

    array = worker_memory.remember(key, make, lambda array: array.nbytes)
    assert array.nbytes == size
    return len(calls)


def test_a_value_is_made_once():
    assert remembered(("model", "pass", 1)) == 1
    assert remembered(("model", "pass", 1)) == 0
    assert remembered(("model", "pass", 2)) == 1


def test_what_is_too_much_goes_and_is_made_again():
    assert [remembered(("model", number), 400) for number in range(3)] == [1, 1, 1]
    assert remembered(("model", 2), 400) == 0
    assert remembered(("model", 0), 400) == 1


def test_what_belongs_to_a_model_goes_with_it():
    remembered(("one", "pass"))
    remembered(("other", "pass"))
    worker_memory.forget("one")
    assert remembered(("other", "pass")) == 0
    assert remembered(("one", "pass")) == 1
