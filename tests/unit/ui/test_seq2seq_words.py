"""What the page Seq2seq says of an answer, in the cases where a sentence could say more than is shown."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from vizlib.files.product import product_root
from vizlib.seq2seq.cards import card as seq2seq_card
from vizlib.seq2seq.formulas import formulas
from vizlib.seq2seq.measurements import LeftOut
from vizlib.seq2seq.translation import Step, Translation
from vizlib.ui.pages.seq2seq.decoder_step import everywhere_words
from vizlib.ui.pages.seq2seq.lessons import left_out_words, order_words
from vizlib.ui.pages.seq2seq.text import how_right, step_words, without_attention
from vizlib.ui.pages.seq2seq.translation_work import Shuffled


def written(weights, **more):
    row = np.array(weights, np.float32)
    step = Step("1", np.ones(1), (("1", 1.0),), row, row, row, weights=row, **more)
    return Translation(tuple("abcd"[: len(row)]), "1", ("1",), (step,), 0.0, (("1", 0.0),), right=None)


def test_an_answer_that_is_too_long_is_not_said_to_be_all_right():
    assert how_right("abc", "abcc", date=False).endswith(": 3 of 3 characters stand where they should, and one follows that is too many.")
    assert how_right("abc", "abccd", date=False).endswith("and 2 follow that are too many.")
    assert how_right("abc", "axx", date=False) == "Right would be `abc`: 1 of 3 characters stands where it should."
    assert "follow" not in how_right("abc", "ab", date=False)
    assert how_right("a", "b", date=False) == "Right would be `a`: 0 of 1 character stands where it should."


@pytest.mark.parametrize(
    ("output", "without", "said"),
    [
        ("abc", "abc", "`abc` too: this one fits into one vector."),
        ("abx", "abc", "`abc` and that is right: this one fits into one vector."),  # the one with attention is not
        ("abx", "abx", "`abx` too, which is as wrong."),
        ("abc", "abx", "`abx`. 2 of 3 characters stand where they should. What it read went through one vector, and not all"),
        ("abx", "axx", "`axx`. 1 of 3 characters stands where it should."),
        ("abc", "", "nothing at all. 0 of 3 characters stand"),
    ],
)
def test_without_attention_is_told_beside_what_attention_wrote(output, without, said):
    text = without_attention("abc", output, without, date=False)
    assert text.startswith(f"**Without attention** the same text becomes {said}")
    assert ("one vector, and not all" in text) == (output == "abc" != without)


def test_another_order_says_how_far_it_is_the_same():
    made = written([0.2, 0.3, 0.5])
    moved = Shuffled(made, 1.4e-7, "cab", "1")
    assert "differs by more than **2e-07**: rounding." in order_words(moved, "1", made.source)  # 1e-07 would be too small
    assert order_words(moved, "1", made.source).endswith("`cab`, it writes `1`, the same.")
    other = order_words(Shuffled(made, 0.0, "cab", "2"), "1", made.source)
    assert "differs at all." in other
    assert other.endswith("it writes `2`.")
    assert "cannot read" in order_words(Shuffled(made, 1e-7, "cab", None), "1", made.source)
    assert order_words(Shuffled(made, 0.0, "abc", "1"), "1", made.source).startswith("This is the order in which the text was read")


def left_out(weights, removed, **more):
    return left_out_words(written(weights, **more), 0, LeftOut("1", np.array(removed), None))


def test_what_a_step_needs_most():
    text = left_out([0.1, 0.7, 0.2], [-0.5, 2.0, 0.3])
    assert "looks most at “b” (character 2) (70\u00a0%). What it needs most is “b” (character 2): without it" in text
    assert "falls by 2.00. The two are the same character here." in text
    rho = stats.spearmanr([0.1, 0.7, 0.2], [-0.5, 2.0, 0.3]).statistic
    assert f"agree in rank by **{rho:.2f}** over 3 characters" in text
    assert "**\u22121.00** over 3" in left_out([0.1, 0.7, 0.2], [0.5, 0.2, 0.3])
    assert "falls by 0.50, and as much without “c” (character 3)." in left_out([0.1, 0.7, 0.2], [0.501, 0.2, 0.499])


def test_a_step_that_needs_nothing():
    assert "never falls by more than 0.002." in left_out([0.1, 0.9], [-0.5, 0.0014])  # not 0.001
    assert "whichever is left out, the log-probability does not fall." in left_out([0.1, 0.9], [-0.5, -0.1])
    assert "in rank" not in left_out([0.5, 0.5], [0.4, 0.1])  # equal weights have no order
    assert "nan" not in left_out([0.5, 0.5], [0.4, 0.1])
    assert "looks most, on the mean of its last layer's heads, at" in left_out([0.1, 0.9], [0.4, 0.1], per_head={"query": np.ones((2, 3))})


def test_one_change_everywhere_is_told_beside_the_same_kind_of_answer():
    assert everywhere_words("12", "12", free=True).endswith("it writes `12`, as before.")
    assert everywhere_words("", "12", free=True).endswith("it writes nothing at all instead of `12`.")
    assert "along the same answer its likeliest characters are `13` instead of `12`" in everywhere_words("13", "12", free=False)


def names_in(formula):
    """The names of vectors, matrices and biases of a formula, LaTeX or as the component sets it, with what is set lower."""
    plain = formula.split(":")[0] if ": " in formula else formula
    plain = re.sub(r"(Σ|\\sum)(_\{?\w\}?)?", " ", plain)  # what a sum counts by
    plain = re.sub(r"\\over(right|left)arrow", "", plain).replace(r"\tau", "τ").replace("′", "'")
    plain = re.sub(r"\\mathrm\{(\w+)\}|\\[a-z]+", " ", plain)
    plain = re.sub(r"\b(forward|backward|softmax|tanh|relu|exp|LN|FFN|GRU|LSTM)\b", " ", plain)
    plain = re.sub(r"\^\{?\([1H]\)\}?", "", plain).replace("{", "").replace("}", "")
    return set(re.findall(r"[A-Za-zτ]'?(?:_[A-Za-z0-9])?", plain))


@pytest.mark.parametrize("name", ["dates_gru_dot", "dates_gru_scaled_dot", "dates_gru_general", "dates_gru_concat", "dates_transformer"])
def test_the_component_writes_the_names_of_the_list_of_formulas(name):
    card = seq2seq_card(name)
    listed, shown = formulas(card.cell, card.score), step_words(card)["formulas"]
    script = "".join(
        (product_root() / "vizlib" / "ui" / "components" / "decoder_step" / part).read_text(encoding="utf-8")
        for part in ("decoder_step.js", "explanations.js")
    )
    written = {
        "scores": [shown["score_short"], *re.findall(r"e_\{j\} = [^']*", shown["all"])],
        "keys": [shown["keys"]],
        "weights": re.findall(r"'(a_\{j\} = exp\(e[^']*)'", script),
        "context": re.findall(r"'(c = Σ[^']*)'", script),
        "logits": re.findall(r"softmax\((W[^)']*)\)|(z = [^']*)'", script),
        "combined": [shown["combined_short"].split(",")[0]],
    }
    if card.cell != "transformer":
        written["output"] = [shown["output_short"]]
    else:
        written |= {"query": [shown["query"]], "values": [shown["values"]]}
    counted = {"x_t", "x'_t", "x'", "x", "t"}  # the state, at a step that may go without saying
    for quantity, texts in written.items():
        assert texts, quantity
        for text in ("".join(parts) for parts in texts):
            given, said = names_in(listed[quantity]), names_in(text)
            assert said - counted <= given, (quantity, text)
            assert given - counted - {"z"} <= said | ({"h_j"} if quantity == "keys" else set()), (quantity, text)
