from __future__ import annotations

import csv
import dataclasses
import io
import math
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from app_helpers import ROOT, messages, said, settled
from PIL import Image
from scipy import stats

import vizlib
from vizlib.engine import worker_memory
from vizlib.engine.jobs import Progress
from vizlib.seq2seq import END, TASKS, force, translate, untrained
from vizlib.seq2seq.cards import NAMES, cards
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.model_service import service
from vizlib.ui.pages.seq2seq import choices, decoder_edit, downloads, length_study, length_work, lessons, predict_first, translation_work

FIRST = TASKS["dates"].examples[0]
GRU, PLAIN, TRANSFORMER = "dates_gru_concat", "dates_gru_none", "dates_transformer"


def forget_translators():
    """The weights in memory, and what they wrote."""
    for name in NAMES:
        worker_memory.forget(name)
    service().dispatcher.results.drop(lambda key: key[0] == ())


@pytest.fixture
def as_trained(monkeypatch):
    """Cards that say that a few models are trained, and the weights of nobody behind them: the page's work does not depend on either."""
    known = {
        name: dataclasses.replace(card, accuracy=99.0 if card.attention else 40.0, interval=(98.0, 99.5), tested=100)
        if name in (GRU, PLAIN, TRANSFORMER, "dates_gru_scaled_dot", "numbers_transformer")
        else dataclasses.replace(card, accuracy=None)
        for name, card in cards().items()
    }
    monkeypatch.setattr(choices, "cards", lambda: known)
    monkeypatch.setattr(translation_work, "_load", untrained)
    forget_translators()
    yield known
    forget_translators()


@pytest.fixture
def page(visit, as_trained):
    return partial(visit, "pages/seq2seq.py")


def sent(at, name="alignment", which=0):
    return unpack(messages(at, name)[which])


def soft(row):
    powers = np.exp(np.asarray(row, np.float64) - np.max(row))
    return powers / powers.sum()


def test_opens_on_a_date_and_every_number_is_the_models_own(page):
    at = page()
    assert at.title[0].value == "Seq2seq"
    header, arrays = sent(at)
    made = translate(untrained(GRU), FIRST)
    assert "".join(header["source"]) == FIRST
    assert header["tokens"] == list(made.tokens)
    np.testing.assert_array_equal(arrays["weights"][:, 0], made.alignment)
    np.testing.assert_allclose(arrays["weights"].sum(-1), 1, atol=1e-5)
    places = [(END + TASKS["dates"].target_alphabet).index(token) for token in made.tokens]
    np.testing.assert_allclose(header["sure"], [soft(one.logits)[place] for one, place in zip(made.steps, places, strict=True)], rtol=1e-5)
    assert header["step"] == (len(made.steps) + 1) // 2
    assert dict(at.query_params) == {}
    assert not at.error
    assert len(messages(at, "decoder_step")) == 1


def test_a_model_that_nobody_trained_is_not_shown_as_one(page):
    at = page(model="dates_lstm_concat")
    assert not messages(at, "alignment")
    assert "Nobody has trained this model yet" in at.warning[0].value
    assert [one.key for one in at.button if one.key.startswith("seq2seq.take.")] == [
        f"seq2seq.take.{name}" for name in (PLAIN, "dates_gru_scaled_dot", GRU, TRANSFORMER)
    ]
    at.button(key=f"seq2seq.take.{TRANSFORMER}").click().run()
    assert sent(at)[0]["heads"][:2] == ["layer 2, mean", "layer 1, head 1"]  # the mean is that of the last layer alone
    assert not at.warning
    names = at.selectbox(key="seq2seq.model").options
    assert ["not trained" in name for name in names] == sorted("not trained" in name for name in names)


def test_a_task_without_a_trained_model_says_how_to_train_one(page):
    at = page(task="reversal")
    assert "vizlib train seq2seq reversal_gru_concat" in at.warning[0].value
    at.selectbox(key="seq2seq.task").set_value("numbers").run()
    assert "".join(sent(settled(at))[0]["source"]) == TASKS["numbers"].examples[0]
    assert at.session_state["seq2seq.model"] == "numbers_transformer"  # the only one that is trained


@pytest.mark.parametrize(
    ("text", "words"), [("", "nothing to read"), ("may 🎉", "never learned"), ("a" * 61, "61 characters"), ("qqq", "'q'")]
)
def test_bad_text_is_said_and_the_last_picture_stays(page, text, words):
    at = page(text="feb. 29, 2000")
    before = messages(at, "alignment")[0]
    at.text_input(key="seq2seq.text").set_value(text).run()
    assert words in at.error[0].value
    assert messages(at, "alignment")[0] == before
    assert "text" not in at.query_params  # a link restores what is shown, not what cannot be
    at.text_input(key="seq2seq.text").set_value("12/24/1987").run()
    assert not at.error
    assert "".join(sent(settled(at))[0]["source"]) == "12/24/1987"


def test_a_text_is_read_as_the_task_cleans_it(page):
    assert "".join(sent(page(text="  Tuesday,   3rd of MAY 1994 "))[0]["source"]) == FIRST


def test_beams_are_those_of_the_search(page):
    header, _ = sent(page(beams="3"))
    found = translate(untrained(GRU), FIRST, beams=3)
    assert [(text, pytest.approx(log)) for text, log in header["beams"]] == list(found.beams)
    assert header["tokens"] == list(found.tokens)


def test_teacher_forcing_feeds_the_right_answer_or_a_given_one(page):
    at = page(force="1")
    header, arrays = sent(at)
    made = force(untrained(GRU), FIRST, "1994-05-03")
    assert header["given"]
    assert "".join(header["tokens"]) == "1994-05-03" + END
    assert header["own"] == [one.top[0][0] for one in made.steps]
    np.testing.assert_array_equal(arrays["weights"][:, 0], made.alignment)
    at.text_input(key="seq2seq.target").set_value("1999").run()
    assert "".join(sent(settled(at))[0]["tokens"]) == "1999" + END
    at.text_input(key="seq2seq.target").set_value("may").run()
    assert "cannot write" in at.error[0].value
    assert not sent(settled(at))[0]["given"]
    at.text_input(key="seq2seq.target").set_value("").run()
    at.text_input(key="seq2seq.text").set_value("3rd 3rd").run()
    assert "no right answer" in at.error[0].value


EDIT = decoder_edit.Edit(0.5, "on", (1, 4), ((2, 3.25), (7, -1.5)))


def test_edited_weights_are_the_softmax_worked_out_by_hand():
    raw = [0.3, 2.0, -1.0, 4.0, 9.0, 0.0, 1.0, 5.0]
    z = [(value / math.sqrt(16)) / 0.5 for value in raw]
    z[2], z[7], z[1], z[4] = 3.25 / 0.5, -1.5 / 0.5, -math.inf, -math.inf
    total = sum(math.exp(value) for value in z)
    np.testing.assert_allclose(decoder_edit.weights_of(raw, EDIT, scaled=False, width=16), [math.exp(value) / total for value in z])
    np.testing.assert_allclose(decoder_edit.weights_of(raw, decoder_edit.Edit(scale="off"), scaled=True, width=16), soft(raw))
    assert decoder_edit.Edit.read(EDIT.view, 8) == EDIT
    assert decoder_edit.Edit.read(EDIT.view, 3) == decoder_edit.Edit(0.5, "on", (1,), ((2, 3.25),))


def test_what_is_changed_by_hand_is_followed_to_the_answer(page):
    at = page(step="3", **EDIT.view)
    header, arrays = sent(at, "decoder_step")
    translator = untrained(GRU)
    module, step = translator.module, translate(translator, FIRST).steps[3]
    weights = decoder_edit.weights_of(step.scores, EDIT, scaled=False, width=96)
    combined = np.concatenate([weights @ step.values, step.query])
    output = np.tanh(module.combine.weight.numpy() @ combined + module.combine.bias.numpy())
    logits = module.readout.weight.numpy() @ output + module.readout.bias.numpy()
    np.testing.assert_allclose(arrays["after.combined"], combined, atol=1e-5)
    np.testing.assert_allclose(arrays["after.output"], output, atol=1e-5)
    np.testing.assert_allclose(arrays["after.probabilities"], soft(logits), atol=1e-5)
    np.testing.assert_array_equal(arrays["probabilities"], step.probabilities)
    assert np.abs(arrays["after.probabilities"] - step.probabilities).max() > 1e-4
    assert header["exact"] == header["view"] == EDIT.view
    assert dict(at.query_params) == {"step": "3"} | EDIT.view
    assert header["alphabet"][int(arrays["probabilities"].argmax())] == step.top[0][0]
    assert "at **every** step" in said(at)


def test_an_edit_belongs_to_its_step(page):
    at = page(step="3", **EDIT.view)
    at.selectbox(key="seq2seq.model").set_value("dates_gru_scaled_dot").run()
    header, arrays = sent(settled(at), "decoder_step")
    assert header["view"] == {"tau": "0.5", "scale": "on", "mask": "", "scores": ""}
    assert header["scaled"]
    assert header["products"]
    np.testing.assert_allclose(arrays["raw"], arrays["keys"] @ arrays["query"], atol=1e-4)  # without the division


def test_a_head_of_the_transformer_is_taken_apart(page):
    at = page(model=TRANSFORMER, head="2", tau="2")
    header, arrays = sent(at, "decoder_step")
    translator = untrained(TRANSFORMER)
    plain = translate(translator, FIRST)
    from vizlib.seq2seq import Options

    given = "".join(plain.tokens).removesuffix(END)
    moved = force(translator, FIRST, given, Options(temperature=2.0)).steps[(len(plain.steps) + 1) // 2]
    assert not header["draggable"]
    np.testing.assert_array_equal(arrays["query"], moved.per_head["query"][2])
    np.testing.assert_allclose(soft(arrays["keys"] @ arrays["query"] / math.sqrt(16) / 2), moved.per_head["weights"][2], atol=1e-6)
    np.testing.assert_allclose(arrays["raw"], arrays["keys"] @ arrays["query"], atol=1e-4)
    np.testing.assert_array_equal(arrays["after.probabilities"], moved.probabilities)
    maps = sent(at)[1]["weights"]
    assert maps.shape[1] == 1 + 2 * 4
    np.testing.assert_allclose(maps[:, 5:].mean(1), maps[:, 0], atol=1e-6)  # the mean is that of the last layer


@pytest.mark.parametrize("name", [GRU, TRANSFORMER])
@pytest.mark.parametrize("asked", [{"beams": "3"}, {"force": "1", "target": "1999"}])
def test_an_edit_that_changes_nothing_is_told_as_nothing_whoever_chose_the_answer(page, name, asked):
    """A temperature so near to 1 that no likeliest character is another one: what is written then is what was written before."""
    header, _ = sent(page(model=name, tau="1.0001", **asked), "decoder_step")
    translator = untrained(name)
    made = translate(translator, FIRST, beams=3) if "beams" in asked else force(translator, FIRST, "1999")
    assert header["along"]
    assert header["exact_output"] == header["output"] == "".join(one.top[0][0] for one in made.steps).split(END)[0]


def test_without_attention_the_page_says_so_and_still_measures(page):
    at = page(model=PLAIN)
    header, arrays = sent(at)
    assert not arrays
    assert len(header["sure"]) == len(header["tokens"])
    assert "no attention" in at.info[0].value
    assert not messages(at, "decoder_step")
    assert at.button(key="seq2seq.measure")
    assert at.toggle(key="seq2seq.predict").disabled


def test_predicting_first_covers_the_attention_until_it_is_revealed(page):
    at = page(predict="1", step="2")
    assert sent(at)[0]["covered"] == 2
    assert not messages(at, "decoder_step")
    assert not at.get("download_button")
    header, arrays = sent(at, "predict_first")
    assert not header["revealed"]
    np.testing.assert_allclose(arrays["weights"].sum(), 1, atol=1e-5)
    assert header["written"] == "".join(sent(at)[0]["tokens"][:2])
    at.session_state["seq2seq.revealed"] = {header["identity"]}
    at.run()
    assert sent(settled(at))[0]["covered"] == -1
    assert sent(at, "predict_first")[0]["revealed"]
    assert messages(at, "decoder_step")


def test_the_divergence_is_that_of_scipy():
    rng = np.random.default_rng(0)
    truth, guess = rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(9))
    truth[3] = 0
    truth /= truth.sum()
    assert predict_first.divergence(truth, guess) == pytest.approx(stats.entropy(truth, guess, base=2))
    assert predict_first.divergence(truth, truth) == 0
    assert predict_first.divergence(guess, truth) == math.inf


@pytest.mark.parametrize("order", ["7", "reversed", "sorted"])
def test_permuted_keys_give_the_same(page, order):
    at = page(order=order)
    plain, moved = sent(at, which=0), sent(at, which=1)
    places = lessons.order_of(order, tuple(FIRST))
    assert sorted(places) == list(range(len(FIRST)))
    assert places != sorted(places)
    assert moved[0]["source"] == [FIRST[place] for place in places]
    np.testing.assert_allclose(moved[1]["weights"], plain[1]["weights"][..., places], atol=1e-6)
    assert moved[0]["tokens"] == plain[0]["tokens"]
    difference = float(said(at).split("differs by more than **")[1].split("**")[0])
    assert difference < 1e-5
    if order == "7":
        at.button(key="seq2seq.shuffle").click().run()
        assert dict(at.query_params) == {"order": "8"}


def test_ranks_agree_with_scipy():
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 5, 30).astype(float), rng.normal(size=30)
    assert lessons.spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert math.isnan(lessons.spearman(one, np.ones(30)))


def test_leaving_out_stands_beside_attention(page):
    at = page(step="1", text="may 1994")
    (chart,) = at.get("plotly_chart")
    assert "lost without the character" in chart.proto.spec
    assert "Spearman" in said(at)
    assert not page(text="5").get("plotly_chart")


def test_measuring_counts_and_adds_up(page, monkeypatch):
    monkeypatch.setattr(length_study, "ROUNDS", 2)
    monkeypatch.setattr(length_study, "CHUNK", 2)
    monkeypatch.setattr(length_study, "GRADIENTS", 2)
    short = dataclasses.replace(TASKS["dates"], lengths=(10, 14))
    monkeypatch.setitem(choices.TASKS, "dates", short)
    at = page(measured="dates", compare=f"{PLAIN},{GRU}", predict="1")
    assert not at.get("plotly_chart")
    for clicks in (1, 2):
        at.button(key="seq2seq.measure").click().run()
        settled(at)
        tally = at.session_state["seq2seq.tally"]
        assert tally.names == (PLAIN, GRU)
        assert tally.right == dict.fromkeys([(name, length) for name in tally.names for length in (10, 14)], (0, 4 * clicks))
        assert len(tally.seeds) == clicks
    assert len(at.get("plotly_chart")) == 2
    ((length, right, samples, low, high), _) = tally.accuracy(GRU)
    assert (length, right, samples, low) == (10, 0, 8, 0.0)
    assert high == pytest.approx(stats.binomtest(0, 8).proportion_ci(method="wilson").high)
    rows = list(csv.DictReader(io.StringIO(length_study.measured_csv(tally))))
    assert {row["measure"] for row in rows} == {"accuracy by length", "characters by length", "gradient by distance"}
    assert [float(row["value"]) for row in rows if row["x"] == "0"] == [1.0, 1.0]  # relative to the last character
    at.pills(key="seq2seq.compare").set_value([GRU]).run()
    assert not at.session_state["seq2seq.tally"].seeds


def test_a_measurement_stops_between_two_counts(as_trained):
    class StoppedAtOnce(Progress):
        def share(self, value):
            super().share(value)
            self._cancel.set()

    progress = StoppedAtOnce()
    with pytest.raises(vizlib.CancelledError):
        length_work.compute_counts((GRU,), (10, 12, 14), 0, rounds=5, texts=10, gradients=20, progress=progress)
    assert list(progress.shared.right) == [(GRU, 10)]


def test_files_hold_what_is_shown():
    translator = untrained(GRU)
    made = translate(translator, "may 1994")
    rows = list(csv.DictReader(io.StringIO(downloads.csv(made, "".join(translator.vocabulary)))))
    assert len(rows) == made.alignment.size
    np.testing.assert_allclose([float(row["weight"]) for row in rows], made.alignment.ravel())
    assert float(rows[0]["probability"]) == pytest.approx(made.steps[0].top[0][1])
    arrays = np.load(io.BytesIO(downloads.npz(made)))
    np.testing.assert_array_equal(arrays["weights"], made.alignment)
    assert "".join(arrays["tokens"]) == "".join(made.tokens)
    picture = np.asarray(Image.open(io.BytesIO(downloads.png(made))))
    cell = downloads.CELL
    assert picture.shape == ((len(made.tokens) + 2) * cell, (8 + 2) * cell, 3)
    darkest = np.unravel_index(made.alignment.argmax(), made.alignment.shape)
    middles = picture[2 * cell :: cell, 2 * cell :: cell].sum(-1)[: len(made.tokens), :8]
    assert np.unravel_index(middles.argmin(), middles.shape) == darkest
    without = translate(untrained(PLAIN), "may 1994")
    assert len(list(csv.reader(io.StringIO(downloads.csv(without, END + TASKS["dates"].target_alphabet))))) == 1 + len(without.tokens)
    assert "weights" not in np.load(io.BytesIO(downloads.npz(without)))


def test_the_snippet_runs(page, monkeypatch):
    at = page(text="may 1994", step="1")
    code = at.code[-1].value
    monkeypatch.setattr("vizlib.seq2seq.load", untrained, raising=False)
    names: dict = {}
    exec(code, names)  # noqa: S102  the page's own words
    np.testing.assert_array_equal(names["translation"].alignment, sent(at)[1]["weights"][:, 0])


def test_the_page_imports_nothing_heavy():
    modules = [path.stem for path in (ROOT / "vizlib" / "ui" / "pages" / "seq2seq").glob("[a-z]*.py")]
    assert "alignment" in modules
    script = f"""
import sys
for name in {modules!r}:
    __import__("vizlib.ui.pages.seq2seq." + name)
print(sorted({{"torch", "timm", "captum", "cv2", "skimage"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", [name for name in NAMES if cards()[name].accuracy is not None] or [None])
def test_shipped_models_open(visit, name):
    if name is None:
        pytest.skip("No translator is trained here: `vizlib train seq2seq` trains them.")
    forget_translators()
    task = cards()[name].task
    at = visit("pages/seq2seq.py", task=task, model=name)
    header, _ = sent(at)
    assert "".join(header["source"]) == TASKS[task].examples[0]
    assert not at.error
    assert not at.warning
