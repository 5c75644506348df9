"""Requests of several visitors for one model on a card go through it as one batch, and each gets its own map."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import vizlib
from vizlib.engine.gathering import Gathering
from vizlib.ui.widgets import explanation
from vizlib.ui.widgets.explanation import ExplanationRequest


def requested(method="grad_cam", target=None):
    return ExplanationRequest("picture", method, target, None, ())


@pytest.fixture
def card(monkeypatch):
    """A model that says it is on a card, and the batches that reached it; the first of them waits for ``go``."""
    gathering, batches, go = Gathering(16), [], threading.Event()

    def explain(model, pictures, method, target, fit, **options):
        batches.append((method, len(pictures), target))
        assert go.wait(10)
        return [(picture.mean(), wanted) for picture, wanted in zip(pictures, target, strict=True)]

    monkeypatch.setattr(vizlib, "explain", explain)
    monkeypatch.setattr(explanation, "_gathering", lambda: gathering)
    return SimpleNamespace(model=SimpleNamespace(device=torch.device("cuda")), batches=batches, go=go, gathering=gathering)


def test_each_gets_its_own_of_one_batch(card):
    got = {}

    def ask(number, request):
        got[number] = explanation._explained(card.model, np.full((4, 4, 3), number, np.uint8), request.target, request)

    requests = {0: requested(), 1: requested(), 2: requested(target=7), 3: requested("rollout"), 4: requested()}
    threads = {number: threading.Thread(target=ask, args=(number, request)) for number, request in requests.items()}
    threads[0].start()
    while not card.batches:
        time.sleep(0.005)
    for number in (1, 2, 3, 4):
        threads[number].start()
    while len(card.batches) < 2 or sum(len(group.items) for group in card.gathering._open.values()) < 3:
        time.sleep(0.005)
    card.go.set()
    for thread in threads.values():
        thread.join(10)
    assert sorted((method, count) for method, count, _ in card.batches) == [("grad_cam", 1), ("grad_cam", 3), ("rollout", 1)]
    assert got == {number: (number, request.target) for number, request in requests.items()}


def test_on_the_processor_each_goes_alone(card):
    card.go.set()
    model = SimpleNamespace(device=torch.device("cpu"))
    assert explanation._explained(model, np.full((4, 4, 3), 5, np.uint8), None, requested()) == (5, None)
    assert card.batches == [("grad_cam", 1, [None])]


@pytest.mark.parametrize("method", ["grad_cam", "rollout", "relevance"])
def test_a_batch_of_several_targets_is_what_each_is_alone(method):
    model = vizlib.load("vit_tiny50")
    pictures = [np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8) for seed in range(3)]
    if method == "rollout":
        together, targets = vizlib.explain(model, pictures, method, [None] * 3), [None] * 3
    else:
        targets = [None, 7, 3]
        together = vizlib.explain(model, pictures, method, targets)
    for one, picture, target in zip(together, pictures, targets, strict=True):
        alone = vizlib.explain(model, picture, method, target)
        assert np.abs(one.input_map - alone.input_map).max() <= 1e-6 * np.abs(alone.input_map).max()
        assert one.target == alone.target
