"""The button that fetches a set of models: what its work fetches, says on the way, and leaves behind when it is stopped."""

import dataclasses
import pickle
from functools import partial

import pytest
from hub_server import Hub

from vizlib.engine.jobs import Progress
from vizlib.errors import CancelledError, DownloadError
from vizlib.ui.pages.models.fetch_work import fetch_set
from vizlib.zoo.cards import all_cards
from vizlib.zoo.weight_sets import SETS

FILES = {
    "deit_tiny_patch16_224.fb_in1k": "timm/deit_tiny_patch16_224.fb_in1k/model.safetensors",
    "resnet18.tv_in1k": "timm/resnet18.tv_in1k/model.safetensors",
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = Hub({path: bytes(2_000_000) + path.encode() for path in FILES.values()})
    server.use(monkeypatch, tmp_path)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def pair():
    return dataclasses.replace(SETS["imagenet-small"], models=tuple(FILES))


class Heard(Progress):
    """Notes what it is told; stops at a message that begins with ``last``."""

    def __init__(self, last="never"):
        super().__init__()
        self.last, self.messages = last, []

    def __call__(self, completed, total=None, message=None):
        self.messages.append(message)
        if message and message.startswith(self.last):
            raise CancelledError("stopped")


def test_it_fetches_what_is_not_here_and_says_which(hub, pair):
    progress = Heard()
    assert fetch_set(pair, progress) == 2
    assert progress.messages[0] == "Asking for sizes"
    assert all(any(message.startswith(f"Fetching {name}: ") for message in progress.messages) for name in FILES)
    assert all(all_cards()[name].at_hand for name in FILES)
    assert len(pickle.dumps(partial(fetch_set, SETS["imagenet-small"]))) < 5000


def test_a_stop_keeps_what_was_whole(hub, pair):
    with pytest.raises(CancelledError):
        fetch_set(pair, Heard("Fetching resnet18"))
    assert [bool(all_cards()[name].at_hand) for name in FILES] == [True, False]
    assert fetch_set(pair, Heard()) == 2
    assert hub.gets("deit_tiny") == 1


def test_where_nothing_is_reached_one_sentence_says_so(hub, pair, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="could not be reached"):
        fetch_set(pair, Heard())
