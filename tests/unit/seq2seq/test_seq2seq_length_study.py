"""The measurements against finite differences, re-encoding by hand, and models whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import vizlib
from vizlib.seq2seq import (
    TASKS,
    Options,
    Translator,
    accuracy_by_length,
    cards,
    force,
    gradient_by_distance,
    leave_one_out,
    permuted,
    translate,
    untrained,
)
from vizlib.seq2seq.length_study import embedding_gradients
from vizlib.seq2seq.recurrent import RecurrentTranslator
from vizlib.seq2seq.task_base import part_of
from vizlib.stats import wilson
from vizlib.zoo.weights import fill_random

KINDS = [name for name in cards() if name.startswith("dates")]
TEXT = "3 may 1994"


def tiny(score: str | None, task: str = "reversal") -> Translator:
    """A model of eight units in float64, for differences that rounding does not drown."""
    sources, targets = len(TASKS[task].source_alphabet), len(TASKS[task].target_alphabet) + 1
    module = RecurrentTranslator(sources, targets, cell="gru", score=score, width=8, embedding=3).double().eval()
    fill_random(module)
    card = next(card for card in cards().values() if card.score == score)
    return Translator(replace(card, task=task), TASKS[task], module)


@pytest.mark.parametrize("score", [None, "dot", "concat"])
@pytest.mark.parametrize("step", [0, 2, None])
def test_gradients_are_finite_differences(score: str | None, step: int | None) -> None:
    translator, source, epsilon = tiny(score), "abcab", 1e-5
    gradients = embedding_gradients(translator, source, step)
    module = translator.module
    target = translator.encode_target(translate(translator, source).output)[None]
    ids, lengths = translator.batch([source])
    embedded = module.source_embedding(ids).detach()

    @torch.no_grad()
    def value(moved: torch.Tensor) -> float:
        logs = module.forward_embedded(moved, lengths, target).log_softmax(-1).gather(-1, target[..., None])[0, :, 0]
        return float(logs.sum() if step is None else logs[step])

    for place in range(len(source)):
        for axis in range(3):
            nudge = torch.zeros_like(embedded)
            nudge[0, place, axis] = epsilon
            assert gradients[place, axis].item() == pytest.approx(
                (value(embedded + nudge) - value(embedded - nudge)) / (2 * epsilon), abs=1e-8
            )


def test_gradients_by_distance_are_means_from_the_end() -> None:
    import random

    translator = tiny("dot")
    heard: list[tuple[float, float]] = []
    gradients = gradient_by_distance(translator, 6, seed=3, length=7, progress=lambda done, total, _: heard.append((done, total)))
    rng = random.Random("3 7")
    norms = []
    for _ in range(6):
        source = translator.task.sample_from("test", rng, 7)[0]
        rows = embedding_gradients(translator, source)
        norms.append([np.sqrt(sum(value**2 for value in rows[-1 - distance].tolist())) for distance in range(7)])
    expected = np.mean(norms, axis=0)
    np.testing.assert_allclose(gradients.mean, expected / expected[0])
    assert gradients.distance.tolist() == list(range(7))
    assert (gradients.low <= gradients.mean + 1e-12).all()
    assert (gradients.mean <= gradients.high + 1e-12).all()
    assert gradients.low[0] == gradients.high[0] == 1
    assert heard == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("name", KINDS)
def test_leaving_a_character_out_is_typing_without_it(name: str) -> None:
    translator = untrained(name)
    base = translate(translator, TEXT)
    for step in {0, min(3, len(base.steps) - 1)}:
        left_out = leave_one_out(translator, TEXT, step)
        chosen = torch.tensor([translator.vocabulary.index(token) for token in base.tokens])
        assert left_out.token == base.tokens[step]
        for place in (0, 4, len(TEXT) - 1):
            shorter = TEXT[:place] + TEXT[place + 1 :]
            with torch.inference_mode():
                logs = [
                    translator.module(*translator.batch([text]), chosen[None]).log_softmax(-1)[0, step, chosen[step]]
                    for text in (TEXT, shorter)
                ]
            assert left_out.removed[place] == pytest.approx((logs[0] - logs[1]).item(), abs=2e-5)


@pytest.mark.parametrize("name", [name for name in KINDS if "none" not in name])
def test_masking_a_key_is_the_option_mask(name: str) -> None:
    translator = untrained(name)
    base = force(translator, TEXT, "1994-05-03")
    left_out = leave_one_out(translator, TEXT, 2, target="1994-05-03")
    place_of = translator.vocabulary.index(base.tokens[2])
    assert left_out.token == base.tokens[2]
    for place in (0, 6, len(TEXT) - 1):
        mask = tuple(other != place for other in range(len(TEXT)))
        without = force(translator, TEXT, "1994-05-03", Options(mask=mask))
        expected = np.log(base.steps[2].probabilities[place_of]) - np.log(without.steps[2].probabilities[place_of])
        assert left_out.masked[place] == pytest.approx(float(expected), abs=2e-5)


def test_what_cannot_be_left_out() -> None:
    translator = untrained("reversal_gru_none")
    assert leave_one_out(translator, "ab", 0).masked is None
    with pytest.raises(vizlib.MethodError, match="Nothing is left of one character"):
        leave_one_out(translator, "a", 0)
    with pytest.raises(vizlib.MethodError, match=r"there is no 99"):
        leave_one_out(translator, "ab", 99)


@pytest.mark.parametrize("name", [name for name in KINDS if "none" not in name])
def test_permuted_keys_change_rounding_alone(name: str) -> None:
    translator = untrained(name)
    order = tuple(reversed(range(len(TEXT))))
    moved, difference = permuted(translator, TEXT, order)
    assert 0 <= difference < 1e-6
    np.testing.assert_allclose(moved.steps[0].weights[::-1], translate(translator, TEXT).steps[0].weights, atol=1e-6)


def test_accuracy_by_length_counts_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that turns around rows of at most six letters, and no others."""
    import vizlib.seq2seq.length_study as measure

    sources: list[str] = []

    def six_at_most(_translator: Translator, texts: list[str]) -> list[str]:
        sources.extend(texts)
        return [text[::-1] if len(text) <= 6 else text[::-1][:3] + "?" for text in texts]

    monkeypatch.setattr(measure, "write_all", six_at_most)
    translator = tiny("dot")
    heard: list[tuple[float, float]] = []
    rows = accuracy_by_length(translator, (4, 6, 9), 120, seed=1, progress=lambda done, total, _: heard.append((done, total)))
    assert [(row.length, row.right, row.samples, row.share) for row in rows] == [(4, 120, 120, 1), (6, 120, 120, 1), (9, 0, 120, 0)]
    assert (rows[2].low, rows[2].high) == wilson(0, 120)
    assert [row.placed for row in rows] == pytest.approx([120, 120, 120 * 3 / 9])
    assert all(part_of(source) == "test" for source in sources)
    assert heard[-1] == (360, 360)
    assert accuracy_by_length(translator, (9,), 120, seed=1) == rows[2:]


def test_whoever_listens_can_stop_it() -> None:
    def stop(*_: object) -> None:
        raise vizlib.CancelledError("enough")

    with pytest.raises(vizlib.CancelledError):
        accuracy_by_length(untrained("reversal_gru_none"), (4,), 1, progress=stop)
    with pytest.raises(vizlib.CancelledError):
        gradient_by_distance(untrained("reversal_gru_none"), 1, progress=stop)
