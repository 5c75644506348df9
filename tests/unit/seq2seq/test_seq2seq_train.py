"""Training of the translators: what a batch is, that a run goes on where it stopped, and what is written."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import vizlib
from vizlib.cli import app
from vizlib.seq2seq import cards, load, train, untrained
from vizlib.seq2seq.task_base import part_of
from vizlib.stats import wilson

NAME = "reversal_gru_concat"
PLAN = train.Recipe(steps=4, batch=8, check=2, warmup=2)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "STOPPING", 20)
    monkeypatch.setattr(train, "TESTED", 30)


def test_a_batch_is_of_the_training_part_and_padded() -> None:
    translator = untrained(NAME)
    source, lengths, target = train.batch(translator, PLAN, 7)
    alphabet = translator.task.source_alphabet
    for row, length, written in zip(source.tolist(), lengths.tolist(), target.tolist(), strict=True):
        text = "".join(alphabet[number - 1] for number in row[:length])
        assert part_of(text) == "train"
        assert row[length:] == [0] * (len(row) - length)
        assert translator.decode(written) == text[::-1]
        assert written[length:] == [0] + [train.IGNORED] * (len(written) - length - 1)
    assert torch.equal(source, train.batch(translator, PLAN, 7)[0])
    assert not torch.equal(source[:, :2], train.batch(translator, PLAN, 8)[0][:, :2])


def test_the_rate_warms_up_and_falls_to_zero(tmp_path: Path) -> None:
    run = train._Run(untrained(NAME).card, train.Recipe(steps=100, warmup=10, rate=1.0), tmp_path, lambda _: None)
    rates = [run._rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(0.98, abs=0.01)
    assert rates[50] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)


def test_padding_costs_nothing() -> None:
    """The loss is the mean over the characters of the targets, end marks included, each sentence alone."""
    translator = untrained(NAME)
    source, lengths, target = train.batch(translator, PLAN, 0)
    with torch.no_grad():
        logits = translator.module(source, lengths, target.clamp_min(0))
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=train.IGNORED)
        total, count = 0.0, 0
        for row in range(len(source)):
            unpadded = target[row][target[row] != train.IGNORED]
            logs = translator.module(source[row : row + 1, : lengths[row]], lengths[row : row + 1], unpadded[None]).log_softmax(-1)[0]
            total -= float(logs[torch.arange(len(unpadded)), unpadded].sum())
            count += len(unpadded)
    assert float(loss) == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("name", [NAME, "reversal_transformer"])
def test_a_stopped_run_goes_on_and_ends_the_same(tmp_path: Path, name: str) -> None:
    generator = torch.random.get_rng_state()
    whole, facts = train.train(name, tmp_path / "whole", PLAN)

    def stop(now: train.Seq2SeqProgress) -> None:
        if now.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.train(name, tmp_path / "parts", PLAN, stop)
    again, facts_again = train.train(name, tmp_path / "parts", PLAN)
    assert facts["steps"] == facts_again["steps"] == 4
    assert facts["history"] == facts_again["history"]
    for key, value in whole.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[key]), key
    assert torch.equal(generator, torch.random.get_rng_state())


def test_it_ends_when_it_is_good_enough(tmp_path: Path) -> None:
    _, facts = train.train(NAME, tmp_path, replace(PLAN, enough=0.0))
    assert facts["steps"] == 2


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    losses: list[float] = []
    train.train(NAME, tmp_path, replace(PLAN, steps=60, batch=16, check=30, warmup=5), lambda now: losses.append(now.loss))
    assert losses[-1] < losses[0] - 0.2


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    train.train(NAME, tmp_path, PLAN)
    with pytest.raises(vizlib.TrainingError, match="another model or recipe"):
        train.train(NAME, tmp_path, replace(PLAN, rate=1e-3))
    (tmp_path / "last.pt").write_bytes(b"nothing")
    with pytest.raises(vizlib.TrainingError, match="damaged"):
        train.train(NAME, tmp_path, PLAN)


class TestShipping:
    @pytest.fixture
    def shipped(self, tmp_path: Path) -> Path:
        translator, facts = train.train(NAME, tmp_path / "run", PLAN)
        train.export(translator, facts, tmp_path / "out", "vizlib train seq2seq NAME")
        return tmp_path / "out"

    def test_the_card_tells_what_was_measured(self, shipped: Path) -> None:
        card, weights = cards(shipped)[NAME], shipped / f"{NAME}.safetensors"
        right, tested = train.exact_matches(load(NAME, shipped), "test", 30, train.TESTING_SEED)
        assert (card.accuracy, card.tested) == (round(100 * right / tested, 3), 30)
        assert card.interval == pytest.approx(tuple(100 * end for end in wilson(right, tested)), abs=1e-3)
        assert card.bytes == weights.stat().st_size < 260_000
        assert card.training["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
        assert card.training["command"] == "vizlib train seq2seq NAME"
        assert card.training["steps"] == 4
        assert card.training["versions"]["torch"] == torch.__version__

    def test_the_weights_are_halves_that_run_in_float32(self, shipped: Path) -> None:
        from safetensors.torch import load_file

        halves, module = load_file(shipped / f"{NAME}.safetensors"), load(NAME, shipped).module
        for key, value in module.state_dict().items():
            assert halves[key].dtype == torch.float16
            assert value.dtype == torch.float32
            assert torch.equal(halves[key].float(), value)
        assert not module.training

    def test_weights_that_are_not_the_cards_are_refused(self, shipped: Path) -> None:
        facts = json.loads((shipped / f"{NAME}.json").read_text(encoding="utf-8"))
        facts["training"]["sha256"] = "0" * 64
        (shipped / f"{NAME}.json").write_text(json.dumps(facts), encoding="utf-8")
        with pytest.raises(vizlib.CheckpointError, match="not the file that its card"):
            load(NAME, shipped)


class TestCommand:
    def test_it_trains_and_writes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
        monkeypatch.setattr(train, "recipe", lambda _: PLAN)
        arguments = ["train", "seq2seq", NAME, "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
        app(arguments, standalone_mode=False)
        said = capsys.readouterr()
        assert f"{NAME}: exact match 0.0\xa0% of 30 fresh samples" in said.out
        assert "after 4 steps" in said.out
        assert "step     4/4" in said.err
        assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{NAME}.json", f"{NAME}.safetensors"}
        assert cards(tmp_path / "out")[NAME].training["command"] == f"vizlib train seq2seq {NAME} --threads 1"

    def test_an_unknown_name(self, capsys: pytest.CaptureFixture) -> None:
        assert app(["train", "seq2seq", "dates_gru_concatt"], standalone_mode=False) == 2
        assert "no translator 'dates_gru_concatt'. Did you mean 'dates_gru_concat'" in capsys.readouterr().err
