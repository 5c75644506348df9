"""vizlib.analysis.perturbation.registry and its parts against gratings, Pillow, SciPy, scikit-image and cases worked by hand."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from vizlib.analysis.perturbation import filtering as filtered
from vizlib.analysis.perturbation import geometric as moves
from vizlib.analysis.perturbation.occlusion import occluded, order
from vizlib.analysis.perturbation.phase_amplitude import swap_amplitude, swap_phase
from vizlib.analysis.perturbation.registry import PERTURBATIONS, Aids, perturbation
from vizlib.errors import MethodError


def picture(side=16, seed=0, height=None):
    return torch.rand(1, 3, height or side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(side=32):
    rows, columns = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    waves = [torch.cos(math.pi * k / side * rows) * torch.cos(math.pi * m / side * columns) for k, m in ((1, 2), (3, 1), (2, 3))]
    return (0.5 + 0.2 * torch.stack(waves))[None].double()


def aids(side=16, **given):
    salience = torch.rand(side, side, generator=torch.Generator().manual_seed(5))
    return Aids(**({"salience": salience, "other": picture(side, 9)[0]} | given))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_every_change_keeps_shape_range_and_its_input(name):
    x = picture().float()
    before = x.clone()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    for strength in PERTURBATIONS[name].strengths:
        made = PERTURBATIONS[name](x, strength, aids())
        assert made.shape == x.shape
        assert made.dtype == x.dtype
        assert made.min() >= 0
        assert made.max() <= 1
        assert torch.equal(made, PERTURBATIONS[name](x, strength, aids()))
    assert torch.equal(x, before)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", [name for name, one in PERTURBATIONS.items() if one.neutral is not None])
def test_the_neutral_strength_changes_nothing_and_its_rule_agrees(name):
    one, x = PERTURBATIONS[name], picture()
    assert one(x, one.neutral, aids()) is x
    # The very function, asked beside its shortcut.
    assert torch.allclose(one.apply(x, one.neutral, aids()), x, atol=1e-9)


def test_shifts_by_hand():
    x = torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(1, 3, 2, 4)
    rows = {
        fill: [moves.moved(x, moves.shift_by(by, fill), fill)[0, 0, 0].tolist() for by in (2, -1)] for fill in ("reflect", "wrap", "mean")
    }
    assert rows["reflect"] == [pytest.approx([0.2, 0.1, 0.1, 0.2]), pytest.approx([0.2, 0.3, 0.4, 0.4])]
    assert rows["wrap"] == [pytest.approx([0.3, 0.4, 0.1, 0.2]), pytest.approx([0.2, 0.3, 0.4, 0.1])]
    assert rows["mean"] == [pytest.approx([0.25, 0.25, 0.1, 0.2]), pytest.approx([0.2, 0.3, 0.4, 0.25])]


@pytest.mark.parametrize("fill", ["reflect", "wrap", "mean"])
@pytest.mark.parametrize("by", [3, -2])
def test_a_whole_shift_is_what_interpolation_gives_there(fill, by):
    x = picture()
    exact = moves.moved(x, moves.shift_by(by, fill), fill)
    near = moves.moved(x, moves.shift_by(by + 1e-7, fill), fill)
    assert torch.allclose(exact, near, atol=1e-5)


def test_half_a_pixel_twice_is_a_pixel_for_what_is_smooth():
    half = moves.shift_by(0.5, "wrap")
    # A wave over the whole width, which wraps around without a seam.
    wave = 0.5 + 0.3 * torch.sin(2 * math.pi * torch.arange(32) / 32).expand(1, 3, 32, 32).double()
    twice = moves.moved(moves.moved(wave, half, "wrap"), half, "wrap")
    assert torch.allclose(twice, wave.roll(1, -1), atol=2e-3)
    assert not torch.allclose(twice, wave, atol=2e-2)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_quarter_turns_are_anticlockwise_and_exact(degrees, turns):
    x = picture()
    assert torch.allclose(moves.moved(x, moves.rotation_by(degrees)), torch.rot90(x, turns, (2, 3)), atol=1e-9)


def test_turned_and_scaled_as_by_scikit_image():
    transform = pytest.importorskip("skimage.transform")
    x = smooth()
    image, inside = x[0].permute(1, 2, 0).numpy(), slice(8, 24)
    turned = transform.rotate(image, 20, order=3, mode="symmetric")
    made = moves.moved(x, moves.rotation_by(20))[0].permute(1, 2, 0).numpy()
    assert np.abs(made - turned)[inside, inside].max() < 3e-3
    centre = transform.SimilarityTransform(translation=(-15.5, -15.5))
    grow = centre + transform.SimilarityTransform(scale=1.6) + transform.SimilarityTransform(translation=(15.5, 15.5))
    scaled = transform.warp(image, grow.inverse, order=3, mode="symmetric")
    made = PERTURBATIONS["scale"](x, 1.6)[0].permute(1, 2, 0).numpy()
    assert np.abs(made - scaled)[inside, inside].max() < 3e-3


def test_what_is_too_fine_to_shrink_is_blurred_first():
    grating = 0.5 + 0.4 * torch.cos(math.pi * torch.arange(64)).expand(1, 3, 64, 64).double()
    plain = moves.moved(grating, moves.scale_by(0.55))[..., 20:44, 20:44]
    blurred = PERTURBATIONS["scale"](grating, 0.55)[..., 20:44, 20:44]
    sigma = (1 / 0.55 - 1) / 2  # at half a cycle a pixel
    assert float((blurred - 0.5).norm() / (plain - 0.5).norm()) == pytest.approx(math.exp(-2 * (math.pi * sigma * 0.5) ** 2), rel=0.02)


@pytest.mark.parametrize(
    ("motion", "expected"),
    [
        (moves.shift_by(3.0), (5.0, 8.0)),
        (moves.rotation_by(90.0), (11.0, 5.0)),  # up and left of the centre (8, 8) goes down and left
        (moves.scale_by(2.0), (2.0, 2.0)),
    ],
)
def test_where_places_go_by_hand(motion, expected):
    place = torch.tensor([5.0, 5.0], dtype=torch.float64)
    there = motion.forth(place, (16, 16))
    assert there.tolist() == pytest.approx(expected)
    assert motion.back(there, (16, 16)).tolist() == pytest.approx(place.tolist())


@pytest.mark.parametrize("motion", [moves.shift_by(5.0), moves.shift_by(2.5), moves.rotation_by(25.0), moves.scale_by(1.3)])
def test_a_moved_map_comes_back_to_where_it_was(motion):
    # A ramp is linear, so what is read between cells is exact wherever no fill is seen.
    side = 16
    rows, columns = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    ramp = torch.stack([rows, columns]).double()
    places = motion.back(torch.stack([rows, columns], -1).double(), (side, side))
    back, seen = moves.undone(places.permute(2, 0, 1), motion, (side, side))
    assert 20 < int(seen.sum()) < side * side
    assert torch.allclose(back[:, seen], ramp[:, seen], atol=1e-9)


@pytest.mark.parametrize(("by", "columns"), [(4.0, [0, 1, 2]), (2.0, [1, 2]), (6.0, [1]), (-4.0, [1, 2, 3])])
def test_which_cells_are_seen_by_hand(by, columns):
    # 16 px in cells of 4. After 2 px, what is read for cell 0 comes half from a cell with fill, and for cell 3 half from outside.
    seen = moves.undone(torch.zeros(1, 4, 4), moves.shift_by(by), (16, 16))[1]
    assert (seen == seen[0]).all()
    assert seen[0].nonzero().flatten().tolist() == columns


def test_cells_around_a_margin_by_hand():
    maps = torch.zeros(1, 8, 8)
    seen = moves.undone(maps, moves.shift_by(8.0), (64, 64), 8.0)[1]
    # A cell of 8 px with 8 more around it: rows 1 to 6; columns that were 1 or more and are now 6 or fewer.
    assert [row for row in range(8) if seen[row].any()] == [1, 2, 3, 4, 5, 6]
    assert [column for column in range(8) if seen[:, column].any()] == [1, 2, 3, 4, 5]
    assert moves.undone(maps, moves.shift_by(8.0, "wrap"), (64, 64), 8.0)[1].all()


@pytest.mark.parametrize("axis", [2, 3])
def test_filters_on_gratings(axis):
    # A cosine of whole cycles that mirrors at its edges: an eigenfunction of every filter here.
    side, sigma = 32, 1.5
    places = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    for cycles in (1, 4, 9):
        line = 0.3 * torch.cos(2 * math.pi * cycles * places)
        grating = 0.5 + line.reshape([-1 if dim == axis else 1 for dim in range(4)]).expand(1, 3, side, side)
        gain = math.exp(-2 * (math.pi * sigma * cycles / side) ** 2)
        assert torch.allclose(filtered.blur(grating, sigma) - 0.5, gain * (grating - 0.5), atol=1e-12)
        for cutoff in (1, 4, 5, 9):
            low, high = filtered.low_pass(grating, cutoff), filtered.high_pass(grating, cutoff)
            assert torch.allclose(low, grating if cycles <= cutoff else torch.full_like(grating, 0.5), atol=1e-12)
            assert torch.allclose(high, grating if cycles >= cutoff else torch.full_like(grating, 0.5), atol=1e-12)


def test_low_and_high_pass_are_the_two_parts_of_a_picture():
    x = 0.4 + 0.2 * picture()
    mean = x.mean((2, 3), keepdim=True)
    assert torch.allclose(filtered.low_pass(x, 3.0) + filtered.high_pass(x, 3.5) - mean, x, atol=1e-12)


def test_cosines_are_those_of_scipy():
    fft = pytest.importorskip("scipy.fft")
    x = picture(12, height=10)[0, 0].numpy()
    made = (filtered.cosines(10) @ torch.from_numpy(x) @ filtered.cosines(12).T).numpy()
    assert np.abs(made - fft.dctn(x, norm="ortho")).max() < 1e-12


def test_blur_is_that_of_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    x = picture(32)
    expected = np.stack([ndimage.gaussian_filter(one.numpy(), 1.5, mode="reflect", truncate=8) for one in x[0]])
    assert np.abs(filtered.blur(x, 1.5)[0].numpy() - expected).max() < 1e-4


def test_noise_is_one_pattern_of_its_strength():
    flat = torch.full((1, 3, 64, 64), 0.5, dtype=torch.float64)
    weak, strong = filtered.noise(flat, 0.02, seed=4) - 0.5, filtered.noise(flat, 0.1, seed=4) - 0.5
    assert weak.std().item() == pytest.approx(0.02, rel=0.02)
    assert torch.allclose(strong, 5 * weak, atol=1e-12)
    assert not torch.allclose(filtered.noise(flat, 0.02, seed=5) - 0.5, weak)


@pytest.mark.parametrize("quality", [90, 30, 5])
def test_jpeg_is_that_of_pillow(quality):
    x = smooth()
    rgb = (x[0].permute(1, 2, 0) * 255).round().byte().numpy()
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    expected = np.asarray(Image.open(buffer)).astype(float)
    made = filtered.jpeg(x, quality)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(made - expected).mean() < 0.5
    assert np.abs(made - expected).max() <= 4


def test_grey_keeps_the_brightness_that_opencv_sees():
    import cv2

    x = picture().float()
    expected = cv2.cvtColor(x[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY)
    made = filtered.grey(x, 1.0)
    assert np.abs(made[0].numpy() - expected).max() < 1e-5
    assert torch.allclose(filtered.grey(x, 0.25), 0.75 * x + 0.25 * made)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_hidden_share_is_exact_and_nested(share):
    x = picture(32)
    sequence = order((8, 8), "random", seed=1)
    made = occluded(x, share, sequence, (8, 8))
    hidden = (made != x).all(1)[0]
    assert hidden.double().mean().item() == share
    assert torch.allclose(made[:, :, hidden], x.mean((2, 3))[..., None].expand(-1, -1, int(hidden.sum())))
    more = (occluded(x, min(1.0, share + 0.1), sequence, (8, 8)) != x).all(1)[0]
    assert (more | ~hidden).all()


def test_patches_by_salience_by_hand():
    salience = torch.tensor([[1.0, 1, 9, 9], [1, 1, 9, 9], [5, 5, 0, 0], [5, 5, 0, 0]])
    assert order((2, 2), "salient", salience=salience).tolist() == [1, 2, 0, 3]
    assert order((2, 2), "other", salience=salience).tolist() == [3, 0, 2, 1]
    # One strong pixel outweighs a patch of weak ones: patches go by their sums.
    salience[3, 3] = 30
    assert order((2, 2), "salient", salience=salience).tolist() == [1, 3, 2, 0]


def test_a_picture_swapped_with_itself_is_itself():
    x = picture()
    for swap in (swap_amplitude, swap_phase):
        for share in (0.0, 0.4, 1.0):
            assert torch.allclose(swap(x, x[0], share), x, atol=1e-12)


def test_swapped_spectra_are_those_that_were_given():
    # Away from 0 and 1 nothing is clipped.
    x, other = 0.45 + 0.05 * picture(), 0.45 + 0.05 * picture(seed=2)
    mixed = np.fft.fft2(swap_amplitude(x, other[0], 1.0).numpy())
    own, partner = np.fft.fft2(x.numpy()), np.fft.fft2(other.numpy())
    assert np.abs(np.abs(mixed) - np.abs(partner)).max() < 1e-9
    assert np.abs(np.angle(mixed / own)).max() < 1e-6
    # The phases of the other with the own amplitudes are the other's picture with the own's swapped in.
    assert torch.allclose(swap_phase(x, other[0], 1.0), swap_amplitude(other, x[0], 1.0), atol=1e-12)
    half = np.fft.fft2(swap_amplitude(x, other[0], 0.5).numpy())
    assert np.abs(np.abs(half) - (np.abs(own) + np.abs(partner)) / 2).max() < 1e-9


def test_shuffled_patches_are_put_back():
    x = picture()
    one, known = PERTURBATIONS["shuffle"], Aids(seed=3)
    back, seen = one.undone(one(x, 4.0, known)[0], 4.0, known, (16, 16))
    assert torch.equal(back, x[0])
    assert seen.all()
    # Cells of a coarser grid hold pixels of several patches.
    assert not one.undone(torch.zeros(1, 2, 2), 4.0, known, (16, 16))[1].any()


@pytest.mark.parametrize(
    ("name", "strength", "given", "words"),
    [
        ("shift", 40, {}, "at most as much"),
        ("shift", 2, {"fill": "black"}, "reflect, mean, wrap"),
        ("rotation", 10, {"fill": "wrap"}, "no other side"),
        ("scale", 0, {}, "above 0"),
        ("blur", -1, {}, "0 pixels or more"),
        ("noise", math.nan, {}, "0 or more"),
        ("jpeg", 0, {}, "1 to 100"),
        ("occlusion", 1.5, {}, "from 0 to 1"),
        ("occlusion", 0.5, {"patches": (40, 8)}, "1 to 16 patches"),
        ("salient", 0.5, {"salience": None}, "needs a map"),
        ("salient", 0.5, {"salience": torch.zeros(4, 4)}, "does not lie on"),
        ("shuffle", 3, {}, "does not divide"),
        ("shuffle", 1.5, {}, "whole numbers"),
        ("grey", 2, {}, "from 0 to 1"),
        ("amplitude", 0.5, {"other": None}, "needs a second picture"),
        ("phase", 0.5, {"other": torch.zeros(3, 4, 4)}, "one size"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(name, strength, given, words):
    with pytest.raises(MethodError, match=words):
        PERTURBATIONS[name](picture(), strength, aids(**given))


def test_an_unknown_change_names_the_nearest():
    with pytest.raises(MethodError, match="Did you mean 'rotation'"):
        perturbation("rotate")
