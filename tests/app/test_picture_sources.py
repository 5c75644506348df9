"""A second picture beside the first, and pictures from an address: off by default, and said what is wrong."""

from __future__ import annotations

import pytest
from app_helpers import image_bytes, maps, said

from vizlib.errors import ImageError
from vizlib.ui.core.pictures import SAMPLES
from vizlib.ui.widgets import picture_picker


def gallery_names(at) -> list[str]:
    return [header["title"] for header, _, _ in maps(at)]


def address_field(at):
    return next(field for field in at.text_input if field.label.startswith("A picture at"))


def test_a_second_picture_is_explained_by_the_same_models_and_method(explore):
    at = explore(second="cat", resnet_tiny50__method="saliency")
    assert gallery_names(at) == ["Coffee", "Cat", "Coffee", "Cat"]
    shown = maps(at)
    assert all(values is not None for _, values, _ in shown)
    assert shown[0][2].shape != shown[1][2].shape
    assert at.markdown[2].value.count(" of 50 classes") == 2
    assert " | beside it: **" in at.markdown[2].value
    assert at.query_params["second"] == "cat"
    # One choice of method and class for both.
    assert sum(box.label == "Method" for box in at.selectbox) == 2
    at.selectbox(key="explore.second").set_value("none").run()
    assert gallery_names(at) == ["Coffee", "Coffee"]
    assert "second" not in at.query_params
    assert not [slot for slot in at.session_state["job_slots.slots"] if slot.startswith("second")]


def test_a_picture_never_stands_beside_itself(explore):
    at = explore(sample="cat", second="cat")
    assert gallery_names(at) == ["Cat", "Cat"]  # the two models
    assert "second" not in at.query_params
    assert at.selectbox(key="explore.second").options[:3] == ["nothing", "Coffee", "Rocket"]


def test_a_picture_of_ones_own_can_stand_beside_a_sample_and_no_link_names_it(explore):
    at = explore()
    at.file_uploader[0].set_value(("mine.png", image_bytes((80, 60), "RGB"), "image/png")).run()
    assert not [option for option in at.selectbox(key="explore.second").options if "yours" in option]  # it is the first one
    at.session_state["pictures"]["use"] = False  # as a click on a sample has it
    at.run()
    at.selectbox(key="explore.second").set_value("yours").run()
    assert gallery_names(at)[:2] == ["Coffee", "mine.png"]
    assert "second" not in at.query_params
    at = explore(second="yours")
    assert at.selectbox(key="explore.second").value == "none"


def test_no_address_is_asked_for_unless_the_operator_allows_it(explore, monkeypatch):
    monkeypatch.delenv(picture_picker.HOSTS_VARIABLE, raising=False)
    monkeypatch.setattr(picture_picker, "fetch_image_bytes", lambda *_, **__: pytest.fail("fetched"))
    at = explore()
    assert not [field for field in at.text_input if "picture" in field.label]
    assert "Fetch it" not in [button.label for button in at.button]


def test_a_picture_comes_from_an_address_on_the_list(explore, monkeypatch):
    monkeypatch.setenv(picture_picker.HOSTS_VARIABLE, "pictures.example.org")
    wanted = []

    def fetch(url, hosts, **_):
        wanted.append((url, hosts))
        return image_bytes((80, 60), "RGB")

    monkeypatch.setattr(picture_picker, "fetch_image_bytes", fetch)
    at = explore()
    assert not wanted
    address_field(at).set_value(" https://pictures.example.org/a/my%20cat.png?x=1 ")
    next(button for button in at.button if button.label == "Fetch it").click().run()
    assert wanted == [("https://pictures.example.org/a/my%20cat.png?x=1", frozenset({"pictures.example.org"}))]
    assert gallery_names(at) == ["my cat.png"] * 2
    assert not at.error


@pytest.mark.parametrize(("url", "words"), [("http://127.0.0.1/", "begins with https"), ("https://evil.org/x.png", "not from evil.org")])
def test_what_is_not_fetched_is_said_and_the_picture_stays(explore, monkeypatch, url, words):
    monkeypatch.setenv(picture_picker.HOSTS_VARIABLE, "pictures.example.org")
    at = explore()
    address_field(at).set_value(url)
    next(button for button in at.button if button.label == "Fetch it").click().run()
    assert words in at.error[0].value
    assert gallery_names(at) == [SAMPLES["coffee"].title] * 2


def test_bytes_that_are_no_picture_are_said(explore, monkeypatch):
    monkeypatch.setenv(picture_picker.HOSTS_VARIABLE, "pictures.example.org")
    monkeypatch.setattr(picture_picker, "fetch_image_bytes", lambda *_, **__: b"<html>")
    at = explore()
    address_field(at).set_value("https://pictures.example.org/")
    next(button for button in at.button if button.label == "Fetch it").click().run()
    assert len(at.error) == 1
    assert "picture before it is still shown" in at.error[0].value


def test_a_fault_that_nobody_foresaw_is_told_once_and_the_page_goes_on(explore, monkeypatch):
    monkeypatch.setenv(picture_picker.HOSTS_VARIABLE, "pictures.example.org")
    wanted = []

    def fetch(url, *_, **__):
        wanted.append(url)
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(picture_picker, "fetch_image_bytes", fetch)
    at = explore()
    address_field(at).set_value("https://pictures.example.org/x.png")
    next(button for button in at.button if button.label == "Fetch it").click().run()
    assert len(at.exception) == 1
    at.run()
    assert len(wanted) == 1
    assert not at.exception
    assert gallery_names(at) == [SAMPLES["coffee"].title] * 2


def test_a_list_of_hosts_that_is_none_stops_the_page_with_a_reason(monkeypatch):
    monkeypatch.setenv(picture_picker.HOSTS_VARIABLE, "127.0.0.1")
    with pytest.raises(ImageError, match="no host name"):
        picture_picker.allowed_hosts()


def test_the_camera_stays_off_until_it_is_opened(explore):
    at = explore()
    assert not at.get("camera_input")
    assert "Camera" in [popover.proto.popover.label for popover in at.get("popover")] or "Camera" in said(at)
