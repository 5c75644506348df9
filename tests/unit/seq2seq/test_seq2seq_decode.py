"""Writing: greedy, searched and forced, and what each option changes."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import vizlib
from vizlib.seq2seq import END, Options, Translator, cards, force, translate, untrained
from vizlib.seq2seq.decode import END_ID, read_source, search, write_all
from vizlib.seq2seq.decoder_state import Memory, Reading

KINDS = [name for name in cards() if name.startswith("dates")]
ATTENTIVE = [name for name in KINDS if "none" not in name]
TEXT = "3rd of may 1994"


@pytest.fixture(scope="module")
def models() -> dict[str, Translator]:
    return {name: untrained(name) for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
class TestWriting:
    def test_forcing_what_was_written_gives_the_same_probability(self, models: dict[str, Translator], name: str) -> None:
        written = translate(models[name], TEXT)
        forced = force(models[name], TEXT, "1994-05-03")
        ids_by_token = {token: place for place, token in enumerate(models[name].vocabulary)}
        for translation in (written, forced):
            of_steps = sum(np.log(step.probabilities[ids_by_token[step.token]].astype(np.float64)) for step in translation.steps)
            assert translation.log_probability == pytest.approx(of_steps, abs=1e-4)
        ids = torch.tensor([[ids_by_token[token] for token in forced.tokens]])
        with torch.inference_mode():
            at_once = models[name].module(*models[name].batch([TEXT]), ids).log_softmax(-1).gather(-1, ids[..., None]).sum()
        assert forced.log_probability == pytest.approx(at_once.item(), abs=1e-4)

    def test_greedy_takes_the_likeliest_and_many_at_once_write_the_same(self, models: dict[str, Translator], name: str) -> None:
        texts = [TEXT, "may 3 1994", "12/24/1987", "wednesday, the twenty-eighth of september, 1977"]
        together = write_all(models[name], texts)
        for text, expected in zip(texts, together, strict=True):
            translation = translate(models[name], text)
            assert translation.output == expected
            assert all(step.token == step.top[0][0] == models[name].vocabulary[step.probabilities.argmax()] for step in translation.steps)

    def test_a_right_target_is_right(self, models: dict[str, Translator], name: str) -> None:
        translation = force(models[name], "Tuesday, 3rd of May 1994", "1994-05-03")
        assert translation.right is True
        assert translation.source == tuple("tuesday, 3rd of may 1994")
        assert (translation.output, translation.tokens) == ("1994-05-03", (*"1994-05-03", END))
        assert force(models[name], TEXT, "1994-05-04").right is False
        assert force(models[name], "may may may", "1994").right is None

    def test_one_beam_is_greedy(self, models: dict[str, Translator], name: str) -> None:
        greedy = translate(models[name], TEXT)
        with torch.inference_mode():
            _, memory = read_source(models[name], TEXT, Options())
            ids, value = search(models[name], memory, Options(), 1)[0]
        assert models[name].decode(ids) == greedy.output
        assert value == pytest.approx(greedy.log_probability, abs=1e-4)

    def test_more_beams_find_what_is_at_least_as_likely(self, models: dict[str, Translator], name: str) -> None:
        translation = translate(models[name], TEXT, beams=6)
        values = [value for _, value in translation.beams]
        assert values == sorted(values, reverse=True)
        assert len({text for text, _ in translation.beams}) == len(translation.beams) <= 6
        assert values[0] == pytest.approx(translation.log_probability, abs=1e-4)
        assert translation.log_probability >= translate(models[name], TEXT).log_probability - 1e-4


def test_a_full_search_finds_the_best_of_all_targets(monkeypatch: pytest.MonkeyPatch, models: dict[str, Translator]) -> None:
    """With as many beams as there are beginnings nothing is lost: compared with every target of at most three characters."""
    from dataclasses import replace

    import vizlib.seq2seq.decode as decode

    whole = models["dates_gru_concat"]
    short = Translator(whole.card, replace(whole.task, longest_output=3), whole.module)
    monkeypatch.setattr(decode, "MAX_BEAMS", 2000)
    translation = translate(short, TEXT, beams=12**3)
    letters = whole.task.target_alphabet
    every = {
        text: force(whole, TEXT, "".join(text)).log_probability for size in range(3) for text in itertools.product(letters, repeat=size)
    }
    best = max(every, key=every.get)
    ended = {text: value for text, value in translation.beams if len(text) < 3}
    assert max(ended, key=ended.get) == "".join(best)
    for text, value in ended.items():
        assert value == pytest.approx(every[tuple(text)], abs=1e-4)


class Toy:
    """Three tokens, the end, a and b, whose chances depend on the last one and on how many were written: worked out by hand below."""

    start = 3
    chances = torch.tensor([[0.5, 0.1, 0.4], [0.5, 0.1, 0.4], [0.2, 0.05, 0.75], [0.3, 0.36, 0.34]])  # after the end, a, b, the start
    third_b = torch.tensor([0.95, 0.03, 0.02])

    def step(self, _memory: Memory, state: tuple[torch.Tensor, ...], last: torch.Tensor, _steering: object):
        chances = torch.where((state[0] == 3) & (last[:, None] == 2), self.third_b, self.chances[last])
        return (state[0] + 1,), Reading(output=chances, logits=chances.log(), combined=chances)


def test_a_search_of_two_goes_on_while_an_open_target_is_likelier() -> None:
    """After bb two targets have ended, a at 0.36 * 0.5 and bb at 0.34 * 0.75 * 0.2, and bbb, at 0.19, is still open and ends at 0.95."""
    memory = Memory(torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool), (torch.zeros(1, 1),))
    translator = SimpleNamespace(module=Toy(), task=SimpleNamespace(longest_output=8))
    targets = search(translator, memory, Options(), 2)
    assert [ids for ids, _ in targets] == [[2, 2, 2, 0], [1, 0]]
    np.testing.assert_allclose(np.exp([value for _, value in targets]), [0.34 * 0.75**2 * 0.95, 0.36 * 0.5], rtol=1e-5)
    assert [ids for ids, _ in search(translator, memory, Options(), 1)] == [[1, 0]]


def test_the_search_can_beat_greed(models: dict[str, Translator]) -> None:
    gains = [
        translate(models[name], text, beams=8).log_probability - translate(models[name], text).log_probability
        for name in KINDS
        for text in ("3 may 1994", "12/24/1987")
    ]
    assert max(gains) > 0.1


@pytest.mark.parametrize("name", ATTENTIVE)
class TestOptions:
    def test_the_order_of_keys_changes_nothing(self, models: dict[str, Translator], name: str) -> None:
        order = tuple(np.random.default_rng(0).permutation(len(TEXT)).tolist())
        mask = tuple(place not in (2, 5) for place in range(len(TEXT)))
        scores = {1: tuple(float(place) for place in range(len(TEXT)))}
        for options in ({}, {"mask": mask}, {"scores": scores}, {"head_weights": scores}):
            plain = force(models[name], TEXT, "1994", Options(**options))
            moved = force(models[name], TEXT, "1994", Options(**options, order=order))
            for plain_step, moved_step in zip(plain.steps, moved.steps, strict=True):
                np.testing.assert_allclose(plain_step.probabilities, moved_step.probabilities, atol=1e-6)
                np.testing.assert_allclose(plain_step.weights[list(order)], moved_step.weights, atol=1e-6)
                np.testing.assert_array_equal(plain_step.keys[list(order)].round(5), moved_step.keys.round(5))

    def test_masked_keys_get_no_weight_in_any_layer(self, models: dict[str, Translator], name: str) -> None:
        mask = tuple(place != 4 for place in range(len(TEXT)))
        for step in translate(models[name], TEXT, options=Options(mask=mask)).steps:
            assert step.weights[4] == 0
            assert step.weights.sum() == pytest.approx(1, abs=1e-5)
            assert step.heads is None or (step.heads[..., 4] == 0).all()

    def test_scores_of_a_step_stand_in(self, models: dict[str, Translator], name: str) -> None:
        row = tuple(0.1 * place for place in range(len(TEXT)))
        plain, changed = (force(models[name], TEXT, "1994", options) for options in (Options(), Options(scores={2: row})))
        expected = np.exp(row) / np.exp(row).sum()
        np.testing.assert_allclose(changed.steps[2].weights, expected, rtol=1e-4)
        assert np.abs(plain.steps[2].probabilities - changed.steps[2].probabilities).max() > 1e-6
        for place in (0, 1, 3, 4):
            np.testing.assert_array_equal(plain.steps[place].probabilities, changed.steps[place].probabilities)

    def test_only_the_last_layer_is_replaced(self, models: dict[str, Translator], name: str) -> None:
        if name != "dates_transformer":
            pytest.skip("it has no layers")
        row = tuple(0.1 * place for place in range(len(TEXT)))
        plain, changed = (force(models[name], TEXT, "1994", Options(scores=rows)).steps[1] for rows in (None, {1: row}))
        np.testing.assert_array_equal(plain.heads[0], changed.heads[0])
        for head in changed.heads[-1]:
            np.testing.assert_allclose(head, np.exp(row) / np.exp(row).sum(), rtol=1e-4)

    def test_its_own_scores_change_nothing(self, models: dict[str, Translator], name: str) -> None:
        if name == "dates_transformer":
            pytest.skip("its heads have scores of their own, which no one row can stand for")
        plain = translate(models[name], TEXT)
        again = translate(models[name], TEXT, options=Options(scores={n: tuple(s.scores.tolist()) for n, s in enumerate(plain.steps)}))
        assert again.log_probability == pytest.approx(plain.log_probability, abs=1e-5)

    def test_weights_of_a_step_are_made_to_sum_to_one(self, models: dict[str, Translator], name: str) -> None:
        row = tuple(2.0 * (place in (0, 3)) for place in range(len(TEXT)))
        step = translate(models[name], TEXT, options=Options(head_weights={0: row})).steps[0]
        np.testing.assert_allclose(step.weights, [0.5 * (place in (0, 3)) for place in range(len(TEXT))], atol=1e-7)
        np.testing.assert_allclose(step.context, step.values[[0, 3]].mean(0), atol=1e-6)

    def test_temperature_and_scale(self, models: dict[str, Translator], name: str) -> None:
        plain, cold = (force(models[name], TEXT, "1994", Options(temperature=value)).steps[0] for value in (1.0, 0.01))
        assert cold.weights.max() >= plain.weights.max()
        scaled, bare = (force(models[name], TEXT, "1994", Options(scale=value)).steps[0] for value in (True, False))
        own = "scaled" in name or "transformer" in name
        np.testing.assert_array_equal(plain.probabilities, (scaled if own else bare).probabilities)
        if name != "dates_transformer":
            np.testing.assert_allclose(bare.scores, scaled.scores * np.sqrt(96), rtol=1e-4, atol=1e-6)


BAD = [
    (Options(temperature=0), "a number above 0"),
    (Options(temperature=float("nan")), "a number above 0"),
    (Options(mask=(True,)), "15 of them, not 1"),
    (Options(mask=(False,) * 15), "leave at least one"),
    (Options(order=(0,) * 15), "0 to 14, once"),
    (Options(scores={0: (1.0,)}), "scores of step 0 have one entry"),
    (Options(scores={3: (float("inf"),) * 15}), "scores of step 3 must be numbers"),
    (Options(head_weights={1: (0.0,) * 15}), "sum must be above 0"),
    (Options(head_weights={1: (-1.0, *(1.0,) * 14)}), "not be negative"),
]


@pytest.mark.parametrize(("options", "said"), BAD)
def test_options_that_do_not_fit_are_refused(models: dict[str, Translator], options: Options, said: str) -> None:
    with pytest.raises(vizlib.MethodError, match=said):
        translate(models["dates_gru_dot"], TEXT, options=options)


def test_what_cannot_be_done_is_refused(models: dict[str, Translator]) -> None:
    with pytest.raises(vizlib.MethodError, match="has no attention"):
        translate(models["dates_gru_none"], TEXT, options=Options(temperature=2))
    with pytest.raises(vizlib.MethodError, match="1 to 20 beams, not 0"):
        translate(models["dates_gru_dot"], TEXT, beams=0)
    with pytest.raises(vizlib.TextError, match="never learned"):
        translate(models["dates_gru_dot"], "😀")
    with pytest.raises(vizlib.TextError, match="cannot write 'm', 'a', 'y'"):
        force(models["dates_gru_dot"], TEXT, "may")


@pytest.mark.parametrize("name", ["dates_gru_concat", "dates_transformer"])
def test_reading_leaves_the_model_as_it_was(models: dict[str, Translator], name: str) -> None:
    module, state = models[name].module, torch.random.get_rng_state()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    translate(models[name], TEXT, beams=2)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert not module.training
    assert models[name].vocabulary.index(END) == END_ID
