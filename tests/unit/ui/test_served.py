"""What a visitor from elsewhere may hand in, and what becomes of the operator's limits."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from vizlib.catalog.methods import METHODS
from vizlib.engine.limits import SERVED_VARIABLE, limits
from vizlib.errors import ImageError, ModelError
from vizlib.ui.core import served
from vizlib.ui.core.model_loading import LoadRequest
from vizlib.ui.core.pictures import handed_in
from vizlib.ui.core.user_model_store import check_weights
from vizlib.ui.widgets import method_options


@pytest.fixture
def limited(monkeypatch):
    """Set limits by their variables."""

    def set_limits(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"VIZLIB_LIMIT_{name.upper()}", str(value))
        limits.cache_clear()

    yield set_limits
    limits.cache_clear()


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin", "a.ckpt", "a.zip", "a.npz", "a.safetensors.pth", "safetensors", ""])
def test_strangers_hand_in_safetensors_alone(name):
    with pytest.raises(ModelError, match="convert it to safetensors"):
        check_weights(name, 10, local=False)
    check_weights(name, 10, local=True)


def test_safetensors_up_to_the_limit_are_taken(limited):
    check_weights("a.SafeTensors", 200 << 20, local=False)
    limited(weights_mb=3)
    with pytest.raises(ModelError, match=r"a\.safetensors has 3 MB, over this server's limit of 3 MB"):
        check_weights("a.safetensors", (3 << 20) + 1, local=True)


@pytest.mark.parametrize(("value", "is_served"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_a_served_app_has_no_local_visitors(monkeypatch, value, is_served):
    monkeypatch.setattr(served, "only_this_machine", lambda address, headers: True)
    monkeypatch.setenv(SERVED_VARIABLE, value)
    assert served.is_local_visitor() == (not is_served)
    monkeypatch.delenv(SERVED_VARIABLE)
    assert served.is_local_visitor()


@pytest.mark.parametrize("name", ["/etc", ".", "vizlib", "hf:owner/name", "~"])
def test_an_architecture_is_a_name_and_never_a_place(name, tmp_path):
    with pytest.raises(ModelError, match="There is no model"):
        LoadRequest(name, tmp_path / "a.safetensors", "a.safetensors").load(lambda *_: None)


def test_the_operators_number_of_pixels_holds(limited):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30)).save(buffer, "PNG")
    assert handed_in("a.png", buffer.getvalue()).pixels.shape == (30, 40, 3)
    limited(pixels=1000)
    with pytest.raises(ImageError, match=r"more than 0\.001 megapixels"):
        handed_in("a.png", buffer.getvalue())


def test_samples_in_a_link_are_the_operators(limited):
    samples = next(option for option in METHODS["rise"].options if option.name == "samples")
    read = method_options._reader(samples)
    assert read("5000") == 5000
    with pytest.raises(ValueError, match="20000"):
        read("20000")
    limited(samples=100)
    with pytest.raises(ValueError, match="101"):
        method_options._reader(samples)("101")
