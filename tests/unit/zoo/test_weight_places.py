"""Where weights are looked for: in which order, what is taken, and that a file is what it says."""

import pytest

import vizlib
from vizlib.errors import CheckpointError, DownloadError
from vizlib.zoo.cards import all_cards
from vizlib.zoo.hf_hub import hub_cached
from vizlib.zoo.loading_plans import plan_for
from vizlib.zoo.sources.places import HubFile, InstalledPackage, ShippedFile, WebFile, at_hand, first_that_works


class Place:
    remote = True

    def __init__(self, title, file=None, here=False):
        self.title, self.file, self.here, self.asked = title, file, here, 0

    def find(self):
        return self.file if self.here else None

    def fetch(self, progress=None):
        self.asked += 1
        if self.file is None:
            raise DownloadError(f"{self.title} is away")
        return self.file

    def size(self):
        return None


def test_a_file_on_this_machine_goes_before_all_that_would_be_fetched(tmp_path):
    hub, link, here = Place("hub", tmp_path / "a"), Place("link", tmp_path / "b"), Place("here", tmp_path / "c", here=True)
    assert first_that_works([hub, link, here]) == (here, tmp_path / "c")
    assert (hub.asked, link.asked) == (0, 0)
    assert at_hand([hub, link]) is None


def test_the_first_that_works_is_taken(tmp_path):
    away, link, last = Place("hub"), Place("link", tmp_path / "b"), Place("last", tmp_path / "c")
    assert first_that_works([away, link, last]) == (link, tmp_path / "b")
    assert (away.asked, last.asked) == (1, 0)
    with pytest.raises(DownloadError, match="first is away"):
        first_that_works([Place("first"), Place("second")])


def test_a_package_that_is_not_installed_is_passed_over(tmp_path, monkeypatch):
    from vizlib.zoo.packaged_weights import PackagedWeights

    absent = InstalledPackage(PackagedWeights("no-such-package-here", "1", "file.pth", "", 0))
    link = Place("link", tmp_path / "b")
    assert first_that_works([absent, link]) == (link, tmp_path / "b")
    with pytest.raises(CheckpointError, match="nowhere on this machine"):
        first_that_works([absent])


def test_a_shipped_file_that_was_changed_is_refused(tmp_path):
    card = all_cards()["vit_tiny50"]
    (place,) = card.places
    changed = tmp_path / place.path.name
    changed.write_bytes(place.path.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError, match="SHA-256 begins with"):
        ShippedFile(changed, place.sha256).fetch()
    assert place.fetch() == place.path


def cached(home, repository, content, name):
    """A file as the hub's client keeps it: a link to a blob that is named by its hash."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}"
    (folder / "blobs").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "snapshots" / "c0ffee").mkdir(parents=True)
    (folder / "blobs" / name).write_bytes(content)
    (folder / "refs" / "main").write_text("c0ffee", encoding="utf-8")
    (folder / "snapshots" / "c0ffee" / "model.safetensors").symlink_to(folder / "blobs" / name)


def test_a_file_of_the_hub_is_checked_against_the_name_that_the_hub_gave_it(tmp_path, monkeypatch):
    import hashlib

    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    cached(tmp_path, "owner/good", b"weights", hashlib.sha256(b"weights").hexdigest())
    cached(tmp_path, "owner/bad", b"others", hashlib.sha256(b"weights").hexdigest())
    assert hub_cached("owner/none", "model.safetensors") is None
    assert HubFile("owner/good").fetch() == HubFile("owner/good").find() is not None
    monkeypatch.setattr("vizlib.zoo.sources.places.hub_weights", lambda *given, **options: HubFile(given[0]).find())
    with pytest.raises(CheckpointError, match="not the file that was fetched"):
        HubFile("owner/bad").fetch()


@pytest.mark.parametrize("source", ["timm", "official"])
def test_cards_know_the_places_that_loading_takes(source):
    cards = [card for card in all_cards().values() if card.source == source]
    assert len(cards) > 20
    for card in cards:
        places = list(plan_for(card.name).places())
        extra = [place for place in places if place not in card.places]
        assert [place for place in places if place in card.places] == card.places, card.name
        assert all(isinstance(place, WebFile) for place in extra), card.name  # timm's own older links are tried after the hub


def test_the_card_of_a_loaded_model_says_where_its_weights_were_read_from():
    assert vizlib.load("vit_tiny50").card.weights_from == "with vizlib"
    assert all_cards()["vit_tiny50"].weights_from == ""
    assert vizlib.load("vit_tiny50", checkpoint="random").card.weights_from == ""
