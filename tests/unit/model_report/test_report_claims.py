"""What papers claim of their architectures, with made-up reports on both sides and between."""

from __future__ import annotations

import pytest

from vizlib.claims import Verdict
from vizlib.model_report.claims import COMPACT, PLAIN, accuracy_claims, little_data_claim
from vizlib.model_report.report_file import read_report
from vizlib.stats import wilson

SO, NOT_SO, OPEN = Verdict.SO, Verdict.NOT_SO, Verdict.CANNOT_TELL
IMAGES = 1000


def signed(value):
    return f"{value:+.1f}".replace("-", "\u2212")


def run(images, share, epochs=12):
    return {"images": images, "epochs": epochs, "epochs_done": epochs, "top1": [share, *wilson(share * IMAGES, IMAGES)]}


def report(compact, plain, epochs=12):
    curves = {COMPACT: [run(100 * place, share, epochs) for place, share in enumerate(compact, 1)]}
    curves[PLAIN] = [run(100 * place, share) for place, share in enumerate(plain, 1)]
    return {"about": {"images": IMAGES}, "small_data": curves}


@pytest.mark.parametrize(
    ("compact", "plain", "verdict"),
    [([0.4, 0.5], [0.2, 0.6], SO), ([0.2, 0.6], [0.4, 0.5], NOT_SO), ([0.31, 0.9], [0.3, 0.2], OPEN)],
)
def test_little_data_is_the_fewest_photographs(compact, plain, verdict):
    claim = little_data_claim(report(compact, plain))
    assert claim.verdict is verdict
    for count, own, other in zip((100, 200), compact, plain, strict=True):
        assert f"{count}: {signed(100 * (own - other))}\u00a0percentage\u00a0points" in claim.measured


def test_unequal_trainings_tell_nothing():
    assert little_data_claim(report([0.9], [0.1], epochs=120)).verdict is OPEN
    assert little_data_claim({}) is None


@pytest.mark.parametrize(
    ("gain", "epochs", "verdict"),
    [([0.1, 0.05, 0.15], 12, SO), ([-0.1, -0.15, -0.05], 12, NOT_SO), ([0.01, -0.02, 0.04], 12, OPEN), ([0.1, 0.05, 0.15], 120, OPEN)],
)
def test_accuracy_counts_between_equal_trainings(gain, epochs, verdict):
    models = {"t2t_tiny50": {"epochs": epochs}, PLAIN: {"epochs": 12}}
    (claim,) = accuracy_claims({"models": models, "differences": {"t2t_tiny50": {PLAIN: gain}}})
    assert claim.verdict is verdict
    assert ("trained for 120 epochs" in claim.measured) == (epochs == 120)


def test_the_shipped_report_has_every_claim():
    shipped = read_report()
    assert len(accuracy_claims(shipped)) == 4
    claim = little_data_claim(shipped)
    gap = shipped["small_data"][COMPACT][0]["top1"][0] - shipped["small_data"][PLAIN][0]["top1"][0]
    assert f"2,500: {signed(100 * gap)}\u00a0percentage\u00a0points" in claim.measured


def test_trainings_of_unknown_length_tell_nothing():
    (claim,) = accuracy_claims({"differences": {"t2t_tiny50": {PLAIN: [0.1, 0.05, 0.15]}}})
    assert claim.verdict is OPEN
    assert claim.measured.endswith("But how long both were trained is not known.")


def test_the_headline_holds_for_what_is_shipped():
    """About the same size, and not all trained equally long."""
    models = read_report()["models"].values()
    sizes = [model["parameters"] for model in models]
    assert max(sizes) / min(sizes) < 1.15
    assert len({model["epochs"] for model in models}) > 1
    assert len({model["training_images"] for model in models}) == 1
