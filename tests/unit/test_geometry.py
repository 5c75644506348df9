"""vizlib.geometry: the evaluation transform against timm, and the mapping against painted dots."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform
from timm.data.transforms_factory import transforms_imagenet_eval

from vizlib import geometry as geometry_module
from vizlib.errors import ImageError, ModelError
from vizlib.geometry import Geometry, Transform

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
INCEPTION = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
CROP_MODES = ["center", "border", "squash"]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def timm_input(cfg: dict, image: np.ndarray) -> torch.Tensor:
    return create_transform(**cfg, is_training=False)(Image.fromarray(image)).unsqueeze(0)


sizes = st.tuples(st.integers(1, 150), st.integers(1, 150))


@settings(max_examples=250, deadline=None)
@given(
    image_size=sizes,
    model=st.one_of(st.integers(1, 64).map(lambda side: (side, side)), st.tuples(st.integers(1, 64), st.integers(1, 64))),
    crop_pct=st.sampled_from([None, 0.5, 0.875, 0.9, 0.95, 0.96, 1.0, 1.25]),
    crop_mode=st.sampled_from(CROP_MODES),
    interpolation=st.sampled_from(["bicubic", "bilinear", "nearest", "lanczos", "box", "hamming"]),
    colours=st.sampled_from([IMAGENET, INCEPTION]),
)
@example((20, 31), (32, 32), 1.25, "center", "bicubic", IMAGENET)
@example((31, 20), (24, 40), 0.9, "center", "bilinear", INCEPTION)
def test_prepare_is_timm_bit_for_bit(image_size, model, crop_pct, crop_mode, interpolation, colours):
    cfg = {"input_size": (3, *model), "interpolation": interpolation, "crop_pct": crop_pct, "crop_mode": crop_mode, **colours}
    image = noise(*image_size, seed=image_size[0])
    try:
        expected = timm_input(cfg, image)
    except (ValueError, ZeroDivisionError):  # a side that timm rounds to nothing
        reject()
    transform = Transform.from_timm(cfg)
    actual = transform.prepare(image)
    assert actual.dtype == torch.float32
    assert actual.is_contiguous()
    assert torch.equal(actual, expected)
    assert transform.geometry(image_size).input_size == actual.shape[2:]


@pytest.mark.parametrize("size", [(333, 500), (500, 375), (224, 224), (100, 57), (1, 40), (2001, 1333)])
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 0.96])
def test_prepare_is_timm_at_real_sizes(size, crop_pct):
    cfg = {"input_size": (3, 224, 224), "interpolation": "bicubic", "crop_pct": crop_pct, "crop_mode": "center", **IMAGENET}
    image = noise(*size)
    assert torch.equal(Transform.from_timm(cfg).prepare(image), timm_input(cfg, image))


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("size", [(50, 83), (83, 50), (20, 20), (64, 48)])
def test_asked_for_squash_and_pad_show_the_whole_image(fit, size):
    transform = Transform((48, 64), crop_pct=0.8, **IMAGENET)
    mode = {"squash": "squash", "pad": "border"}[fit]
    expected = transforms_imagenet_eval((48, 64), crop_pct=1.0, crop_mode=mode, interpolation="bicubic", **IMAGENET)
    assert torch.equal(transform.prepare(noise(*size), fit=fit)[0], expected(Image.fromarray(noise(*size))))
    assert transform.geometry(size, fit=fit).seen.all()
    assert transform.geometry(size, fit="crop") == transform.geometry(size)


def test_padding_is_the_mean_colour_and_content_says_where():
    transform = Transform((40, 60), **IMAGENET)
    image = np.zeros((30, 30, 3), np.uint8)
    x = transform.prepare(image, fit="pad")
    content = transform.geometry((30, 30), fit="pad").content
    assert content.sum() == 40 * 40
    assert content[:, 10:50].all()
    padding = transform.to_rgb(x)[~content]
    assert (padding == np.round(np.array(IMAGENET["mean"]) * 255)).all()
    assert (transform.to_rgb(x)[content] == 0).all()
    assert x[0][:, torch.from_numpy(~content)].abs().max() < 0.01


def test_to_rgb_undoes_prepare():
    image = noise(32, 48)
    transform = Transform((32, 48), crop_pct=1.0, **IMAGENET)
    x = transform.prepare(image)
    for form in (x, x[0], x.numpy(), x.to(torch.float64).requires_grad_()):
        assert np.array_equal(transform.to_rgb(form), image)
    with pytest.raises(ImageError, match="one picture"):
        transform.to_rgb(torch.zeros(2, 3, 4, 4))


def test_from_timm_reads_every_field():
    cfg = {"input_size": (3, 24, 32), "interpolation": "bilinear", "crop_pct": 0.9, "crop_mode": "border", **INCEPTION}
    assert Transform.from_timm(cfg) == Transform((24, 32), 0.9, "bilinear", (0.5,) * 3, (0.5,) * 3, "pad")
    with pytest.raises(ModelError, match="1 channels"):
        Transform.from_timm({**cfg, "input_size": (1, 24, 32)})


@pytest.mark.parametrize(
    "wrong",
    [{"size": (0, 4)}, {"size": (4,)}, {"crop_pct": 0}, {"crop_pct": float("nan")}, {"interpolation": "cubic"}, {"std": (1, 0, 1)}],
)
def test_impossible_transforms_are_refused(wrong):
    with pytest.raises(ModelError):
        Transform(**{"size": (8, 8), **wrong})


def test_unknown_fit_and_wrong_images_are_refused_with_the_choices():
    transform = Transform((8, 8))
    for call in (lambda: transform.prepare(noise(9, 9), fit="krop"), lambda: transform.geometry((9, 9), fit="krop")):
        with pytest.raises(ImageError, match=r"'krop'.*\"crop\", \"pad\" or \"squash\".*Did you mean 'crop'"):
            call()
    for wrong in (noise(9, 9)[..., 0], noise(9, 9).astype(np.float32), [[0]], noise(0, 9), noise(9, 9)[..., :2]):
        with pytest.raises(ImageError):
            transform.prepare(wrong)


@pytest.mark.parametrize("size", [(1, 40_000), (40_000, 1), (3, 30_000)])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_extreme_strips_are_prepared_in_small_memory(size, fit, monkeypatch):
    transform, made = Transform((224, 224), **IMAGENET), []
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda self, to, *more, **options: made.append(to) or resize(self, to, *more, **options))
    x = transform.prepare(np.full((*size, 3), 200, np.uint8), fit=fit)
    assert made
    assert max(width * height for width, height in made) <= 64_000_000
    content = transform.geometry(size, fit=fit).content
    assert content.any()
    assert (transform.to_rgb(x)[content] == 200).all()


@settings(max_examples=60, deadline=None)
@given(sizes, st.sampled_from(["bicubic", "bilinear", "lanczos"]), st.sampled_from([(32, 32), (24, 40)]))
def test_resizing_only_the_kept_part_gives_the_same_input(size, interpolation, model):
    transform = Transform(model, interpolation=interpolation)
    # Away from black and white, where Pillow would clip between its two passes, whose order depends on the size.
    image = noise(*size) // 4 + 96
    whole = transform._fitted(image, None).astype(int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry_module, "_MAX_RESIZED_PIXELS", 0)
        part = transform._fitted(image, None).astype(int)
    assert abs(whole - part).max() <= 2


@settings(max_examples=150, deadline=None)
@given(sizes, st.tuples(st.integers(1, 64), st.integers(1, 64)), st.sampled_from([None, "crop", "pad", "squash"]), st.data())
def test_points_and_boxes_round_trip(size, model, fit, data):
    geometry = Transform(model, fit=data.draw(st.sampled_from(["crop", "pad", "squash"]))).geometry(size, fit=fit)
    points = np.random.default_rng(0).uniform(-50, 200, (7, 5, 2))
    np.testing.assert_allclose(geometry.to_image(geometry.to_input(points)), points, rtol=1e-9, atol=1e-9)
    boxes = np.concatenate([points, points + 3], axis=-1)
    np.testing.assert_allclose(geometry.box_to_image(geometry.box_to_input(boxes)), boxes, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(geometry.box_to_input(boxes)[..., 2:], geometry.to_input(points + 3))


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("own", ["crop", "pad", "squash"])
@pytest.mark.parametrize(("size", "model"), [((300, 470), (64, 64)), ((470, 300), (64, 64)), ((333, 251), (48, 80)), ((40, 60), (96, 64))])
def test_a_painted_dot_is_found_where_to_input_says(size, model, fit, own):
    """The ground truth is the picture the model gets: the centre of mass of a dot painted in the image."""
    transform = Transform(model, crop_pct=0.9, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3, fit=own)
    use = None if fit == own else fit
    geometry = transform.geometry(size, fit=use)
    side = max(3, round(2 / min(geometry.scale)))
    rows, columns = np.nonzero(geometry.seen)
    rng = np.random.default_rng(1)
    for _ in range(6):
        pick = rng.integers(len(rows))
        y = int(np.clip(rows[pick], rows.min() + 2 * side, rows.max() - 3 * side))
        x = int(np.clip(columns[pick], columns.min() + 2 * side, columns.max() - 3 * side))
        image = np.zeros((*size, 3), np.uint8)
        image[y : y + side, x : x + side] = 255
        picture = transform.prepare(image, fit=use)[0, 0].double().numpy()
        where = np.indices(model).reshape(2, -1) + 0.5
        found = where @ picture.ravel() / picture.sum()
        expected = geometry.to_input([y + side / 2, x + side / 2])
        np.testing.assert_allclose(found, expected, atol=0.03 if max(geometry.scale) < 1 else 0.08)


@settings(max_examples=60, deadline=None)
@given(sizes, st.tuples(st.integers(2, 40), st.integers(2, 40)), st.sampled_from(["crop", "pad", "squash"]), st.data())
def test_map_to_image_is_bilinear_sampling_at_pixel_centres(size, model, fit, data):
    from scipy.ndimage import map_coordinates

    geometry = Transform(model, crop_pct=0.8).geometry(size, fit=fit)
    values = np.random.default_rng(data.draw(st.integers(0, 9))).normal(size=model)
    image_map = geometry.map_to_image(values)
    assert image_map.dtype == np.float32
    assert image_map.shape == size
    assert np.array_equal(np.isnan(image_map), ~geometry.seen)
    centres = np.stack(np.meshgrid(*(np.arange(side) + 0.5 for side in size), indexing="ij"), axis=-1)
    inside = geometry.to_input(centres)[geometry.seen]
    expected = map_coordinates(values, (inside - 0.5).T, order=1, mode="nearest")
    np.testing.assert_allclose(image_map[geometry.seen], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(900, 1300), (1300, 900), (701, 701)])
def test_a_delta_lands_on_its_image_pixel(size, fit):
    geometry = Transform((32, 48), crop_pct=0.9).geometry(size, fit=fit)
    rng = np.random.default_rng(2)
    inner = geometry.content.copy()
    inner[[0, 1, -2, -1]] = False
    inner[:, [0, 1, -2, -1]] = False
    rows, columns = np.nonzero(inner)
    tried = 0
    for pick in rng.permutation(len(rows)):
        y, x = rows[pick], columns[pick]
        box = geometry.box_to_image([y - 1.0, x - 1.0, y + 2.0, x + 2.0])
        if (box[:2] < 0).any() or (box[2:] > size).any():
            continue
        delta = np.zeros((32, 48))
        delta[y, x] = 1
        found = np.nan_to_num(geometry.map_to_image(delta).astype(np.float64))
        target = geometry.to_image([y + 0.5, x + 0.5])
        top = np.array(np.unravel_index(found.argmax(), size)) + 0.5
        assert (abs(top - target) <= 0.5 + 1e-6).all()
        centres = np.indices(size).reshape(2, -1) + 0.5
        np.testing.assert_allclose(centres @ found.ravel() / found.sum(), target, atol=0.1)
        tried += 1
        if tried == 5:
            break
    assert tried == 5


def test_identity_changes_nothing():
    geometry = Geometry.identity((5, 7))
    values = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    assert np.array_equal(geometry.map_to_image(values), values)
    assert geometry.seen.all()
    assert geometry.content.all()
    assert np.array_equal(geometry.to_input([[1.5, 2]]), [[1.5, 2]])
    assert geometry == Transform((5, 7), crop_pct=1.0).geometry((5, 7))


def test_wrong_shapes_are_refused():
    geometry = Geometry.identity((5, 7))
    for call in (
        lambda: geometry.map_to_image(np.zeros((7, 5))),
        lambda: geometry.to_input([1, 2, 3]),
        lambda: geometry.to_image(4.0),
        lambda: geometry.box_to_input([[1, 2]]),
        lambda: Transform((5, 7)).geometry((0, 7)),
    ):
        with pytest.raises(ImageError):
            call()


def test_geometry_cannot_be_changed():
    geometry = Geometry.identity((5, 7))
    with pytest.raises(dataclasses.FrozenInstanceError):
        geometry.scale = (2.0, 2.0)
    for mask in (geometry.seen, geometry.content):
        with pytest.raises(ValueError, match="read-only"):
            mask[0, 0] = False


def test_map_to_image_of_12_megapixels_is_small():
    geometry = Transform((224, 224)).geometry((3000, 4000))
    values = np.random.default_rng(0).normal(size=(224, 224))
    result = geometry.map_to_image(values)
    tracemalloc.start()
    geometry.map_to_image(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * result.nbytes


def test_importing_the_geometry_does_not_import_torch():
    code = "import sys, vizlib.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
