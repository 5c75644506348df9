"""The page of audits: opens on the samples, takes pictures of the visitor's own, and an audit's folder only on the machine it runs on."""

from __future__ import annotations

import io
import zipfile
from functools import partial

import pytest
from app_helpers import image_bytes, messages, said, settled

import vizlib
from vizlib.engine.jobs import Progress
from vizlib.errors import CancelledError
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.pictures import SAMPLES, sample
from vizlib.ui.pages.audit import explore_link, sources
from vizlib.ui.pages.audit.audit_work import compute_audit, open_audit


@pytest.fixture
def page(visit):
    return partial(visit, "pages/audit.py")


@pytest.fixture
def here(monkeypatch):
    """A visitor who sits at the machine that serves the page."""
    monkeypatch.setattr(sources, "is_local_visitor", lambda: True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("audited")
    (home / "data").mkdir()
    for number in range(4):
        (home / "data" / f"{number}.png").write_bytes(image_bytes((60, 40 + 8 * number)))
    (home / "data" / "torn.png").write_bytes(b"no picture")
    vizlib.audit(home / "data", "vit_tiny50", "rollout", home / "audit", heads=True)
    return home


def gallery(at):
    (message,) = messages(at, "audit_gallery")
    return unpack(message)[0]


def test_opens_on_the_samples(page):
    at = page()
    assert at.title[0].value == "Audit"
    assert not at.error
    header = gallery(at)
    assert header["gallery"]["models"] == ["vit_tiny50", "resnet_tiny50"]
    assert header["gallery"]["values"]["path"]["words"] == [each.title for each in SAMPLES.values()]
    assert len(header["gallery"]["thumbnails"]) == len(SAMPLES)
    assert header["opens"] == "Open in Explore"
    assert "lie" in said(at)
    assert "No picture has a box or a mask" in said(at)
    assert [button.label for button in at.get("download_button")] == ["Report", "ZIP"]
    assert "is_local" not in said(at)
    assert not at.text_input


def test_models_and_methods_have_their_titles(page):
    at = page(models="vit_tiny50,resnet_tiny50", methods="grad_cam,saliency", images="cat,coffee")
    header = gallery(at)["gallery"]
    assert header["titles"] == {"models": ["ViT", "ResNet"], "methods": ["Grad-CAM", "Saliency"]}
    words = said(at).replace("\\", "")
    line = "ViT is vit_tiny50, ResNet is resnet_tiny50, Grad-CAM is grad_cam and Saliency is saliency in the files."
    assert line in words
    assert "vit_tiny50" not in words.replace(line, "")
    assert "grad_cam" not in words.replace(line, "")
    assert "The Grad-CAM maps of ViT and ResNet lie" in words


def test_numbers_are_those_of_the_audit(page, tmp_path):
    at = page(models="vit_tiny50", methods="rollout,saliency", images="cat,coffee")
    pictures = {SAMPLES[name].title: sample(name).pixels for name in ("cat", "coffee")}
    rows = vizlib.audit(pictures, "vit_tiny50", ["rollout", "saliency"], tmp_path / "audit", chunk=8).rows()
    values = gallery(at)["gallery"]["values"]
    assert values["probability"] == pytest.approx(rows["probability"].tolist(), rel=1e-3)
    assert values["evenness"] == pytest.approx(rows["evenness"].tolist(), rel=1e-3)


def test_what_is_chosen_is_in_the_address(page):
    at = page(models="vit_tiny50", methods="saliency", images="cat", preset="flat", by="sink", falling="no", heads="1")
    assert gallery(at)["view"] == {"preset": "flat", "by": "sink", "falling": "no", "find": "", "model": "", "method": ""}
    assert "A dot is a head; of one picture nothing is known of how much it depends on the picture." in said(at)
    at.multiselect(key="audit.methods").set_value(["saliency", "rollout"]).run()
    settled(at)
    assert at.query_params["methods"] == "saliency,rollout"
    assert at.query_params["preset"] == "flat"


def test_only_methods_that_fit_every_model(page):
    at = page(models="vit_tiny50,resnet_tiny50", methods="rollout", images="cat")
    assert at.session_state["audit.methods"] == ["grad_cam"]
    assert gallery(at)["gallery"]["methods"] == ["grad_cam"]


def test_uploads_and_what_cannot_be_read(page):
    at = page(models="vit_tiny50")
    at.file_uploader[0].set_value([("a.png", image_bytes(), "image/png"), ("torn.png", b"no picture", "image/png")])
    at.run()
    settled(at)
    assert gallery(at)["gallery"]["values"]["path"]["words"] == ["a.png"]
    assert "**torn.png**" in said(at).replace("\\", "")


@pytest.mark.parametrize(("address", "words"), [({"models": ""}, "at least one model"), ({"images": ""}, "at least one picture")])
def test_too_little_is_said(page, address, words):
    at = page(**address)
    assert words in said(at)
    assert not messages(at, "audit_gallery")


def test_a_folder_is_opened_on_this_machine_alone(page, folder, here):
    at = page(**{"from": "folder", "folder": str(folder / "audit"), "data": str(folder / "data")})
    header = gallery(at)
    assert header["gallery"]["values"]["path"]["words"] == [f"{number}.png" for number in range(4)]
    assert len(header["gallery"]["thumbnails"]) == 4
    assert "vit\\_tiny50: It is no image" in said(at) or "torn.png" in said(at)
    assert "one standard deviation" in said(at)
    assert [button.label for button in at.get("download_button")] == ["Report"]


def test_strangers_are_offered_no_folder(page, folder):
    at = page(**{"from": "folder", "folder": str(folder / "audit")})
    assert not at.text_input
    assert gallery(at)["gallery"]["values"]["path"]["words"][0] == SAMPLES["cat"].title


def test_a_folder_without_an_audit_and_other_data_are_said(page, folder, here):
    at = page(**{"from": "folder", "folder": str(folder)})
    assert "holds no audit" in said(at)
    at = page(**{"from": "folder", "folder": str(folder / "audit"), "data": str(folder / "data" / "0.png")})
    assert "not the data" in said(at)
    at = page(**{"from": "folder"})
    assert "Name the folder" in said(at)


def test_what_is_taken_away_is_an_audit(tmp_path):
    model = vizlib.load("vit_tiny50")
    view = compute_audit(model, pictures={"cat": sample("cat").pixels}, methods=("rollout",), fit=None, heads=False, progress=Progress())
    zipfile.ZipFile(io.BytesIO(view.archive)).extractall(tmp_path)
    opened = vizlib.Audit.open(tmp_path / "audit")
    assert opened.complete
    assert len(opened.rows()) == 1
    assert (tmp_path / "audit" / "report.html").read_bytes() == view.html


def test_it_stops_when_nobody_waits(tmp_path):
    progress = Progress()
    progress._cancel.set()
    pictures = {str(number): sample("cat").pixels for number in range(9)}
    with pytest.raises(CancelledError):
        compute_audit(vizlib.load("vit_tiny50"), pictures=pictures, methods=("rollout",), fit=None, heads=False, progress=progress)


def test_it_stops_within_a_part_too():
    """Nine pictures are two parts: a visitor who leaves while the first one's maps are scored does not wait for its end."""
    heard = []

    class Leaves(Progress):
        def __call__(self, *arguments):
            heard.append(arguments)
            if len(heard) == 4:
                self._cancel.set()
            super().__call__(*arguments)

    pictures = {str(number): sample("cat").pixels for number in range(9)}
    work = partial(compute_audit, vizlib.load("vit_tiny50"), pictures=pictures, methods=("grad_cam",), fit=None, heads=False)
    with pytest.raises(CancelledError):
        work(scores=("sensitivity_n",), progress=Leaves())
    assert len(heard) == 4
    assert heard[-1][0] == 0  # no part is done


def test_a_folder_read_without_its_data_shows_maps_alone(folder):
    view = open_audit(str(folder / "audit"), "", Progress())
    assert view.gallery["thumbnails"] == {}
    assert "maps alone" in view.rows
    assert view.failed == 1


@pytest.fixture
def went(monkeypatch):
    """Where the page went, without going there."""
    calls = []
    monkeypatch.setattr(explore_link.st, "switch_page", lambda page, query_params: calls.append((page, query_params)))
    return calls


def test_a_sample_opens_in_explore_by_its_address(page, went):
    at = page(models="vit_tiny50", methods="rollout", images="cat,coffee")
    at.session_state["audit.wanted"] = (1, SAMPLES["coffee"].title, "vit_tiny50", "rollout")
    at.run()
    assert went == [("pages/explore.py", {"models": "vit_tiny50", "vit_tiny50.method": "rollout", "sample": "coffee"})]
    assert not at.session_state["pictures"]["use"]


def test_a_picture_of_a_folder_opens_in_explore_as_the_visitors_own(page, folder, here, went):
    at = page(**{"from": "folder", "folder": str(folder / "audit"), "data": str(folder / "data")})
    at.session_state["audit.wanted"] = (2, "2.png", "vit_tiny50", "rollout")
    at.run()
    assert went == [("pages/explore.py", {"models": "vit_tiny50", "vit_tiny50.method": "rollout"})]
    yours = at.session_state["pictures"]["yours"]
    assert (yours.title, yours.pixels.shape) == ("2.png", (56, 60, 3))
    at.session_state["audit.wanted"] = (4, "torn.png", "vit_tiny50", "rollout")
    at.run()
    assert len(went) == 1
    assert at.error
