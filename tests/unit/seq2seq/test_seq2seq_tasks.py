"""The rules against datetime and hand-worked cases, the split, and what may be typed."""

import random
import subprocess
import sys
from datetime import datetime

import pytest

import vizlib
from vizlib.seq2seq import TASKS, dates, number_words
from vizlib.seq2seq.task_base import part_of

EVERY = pytest.mark.parametrize("name", list(TASKS))


def test_cards_and_tasks_need_no_torch() -> None:
    code = "import sys, vizlib.seq2seq as s; s.cards(); s.TASKS; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("tuesday, 3rd of may 1994", "1994-05-03"),
        ("tue 3 may 1994", "1994-05-03"),
        ("the 3rd of may, 1994", "1994-05-03"),
        ("may the 3rd 1994", "1994-05-03"),
        ("may 3, '94", "1994-05-03"),
        ("3-may-94", "1994-05-03"),
        ("the twenty-first of june 2031", "2031-06-21"),
        ("thirty-first december 1999", "1999-12-31"),
        ("feb. 29, 2000", "2000-02-29"),
        ("29.2.1904", "1904-02-29"),
        ("29.2.1900", None),
        ("february 30 2000", None),
        ("12/24/1987", "1987-12-24"),
        ("24.12.1987", "1987-12-24"),
        ("24/12/1987", None),
        ("1987-12-24", "1987-12-24"),
        ("1.1.69", "1969-01-01"),
        ("1.1.68", "2068-01-01"),
        ("1.1.00", "2000-01-01"),
        ("11th of may 2001", "2001-05-11"),
        ("11st of may 2001", None),
        ("22nd of may 2001", "2001-05-22"),
        ("22th of may 2001", None),
        ("monday, 3rd of may 1994", None),
        ("3 may 1899", None),
        ("3 may 2100", None),
        ("sept 3 1994", None),
        ("no date", None),
        ("", None),
    ],
)
def test_a_date_by_hand(text: str, iso: str | None) -> None:
    assert TASKS["dates"].truth(text) == iso


@pytest.mark.parametrize(
    ("form", "count"), [("%d.%m.%Y", 300), ("%m/%d/%y", 300), ("%A, %d %B %Y", 300), ("%b %d, %y", 300), ("%d-%b-%Y", 300)]
)
def test_a_date_against_strptime(form: str, count: int) -> None:
    rng = random.Random(1)
    for _ in range(count):
        year = rng.randint(1969, 2068) if "%y" in form else rng.randint(1900, 2099)
        text = datetime(year, rng.randint(1, 12), rng.randint(1, 28)).strftime(form).lower()  # noqa: DTZ001  a day without a clock
        said = datetime.strptime(text, form)  # noqa: DTZ007
        assert dates.read(text) == f"{said:%Y-%m-%d}", text


def test_ordinals() -> None:
    assert len(dates.ORDINALS) == 31
    assert [dates.ORDINALS[day - 1] for day in (1, 3, 12, 20, 22, 30, 31)] == [
        "first", "third", "twelfth", "twentieth", "twenty-second", "thirtieth", "thirty-first",
    ]  # fmt: skip
    said = "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th 11th 12th 13th 14th 15th 16th 17th 18th 19th 20th 21st 22nd 23rd 24th"
    assert [dates.numbered(day) for day in range(1, 25)] == said.split()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (7, "seven"),
        (13, "thirteen"),
        (40, "forty"),
        (88, "eighty-eight"),
        (100, "one hundred"),
        (342, "three hundred and forty-two"),
        (1000, "one thousand"),
        (1005, "one thousand and five"),
        (10_100, "ten thousand one hundred"),
        (99_999, "ninety-nine thousand nine hundred and ninety-nine"),
    ],
)
def test_a_number_by_hand(number: int, words: str) -> None:
    assert TASKS["digits"].truth(str(number)) == words
    assert TASKS["numbers"].truth(words) == str(number)


def test_every_number_is_read_back_and_no_two_share_their_words() -> None:
    said = {number_words.in_words(number) for number in range(100_000)}
    assert len(said) == 100_000
    for number in range(0, 100_000, 37):
        for link in (" and ", " "):
            for hyphen in "- ":
                assert number_words.read_words(number_words.in_words(number, link=link, hyphen=hyphen)) == str(number)


@pytest.mark.parametrize(
    "text", ["five hundred thousand", "hundred", "two five", "twenty-twelve", "one thousand five", "and", "five and", ""]
)
def test_what_is_no_number_in_words(text: str) -> None:
    assert TASKS["numbers"].truth(text) == ("1005" if text == "one thousand five" else None)


@pytest.mark.parametrize("text", ["007", "100000", "1.5", "", "²"])
def test_what_is_no_number_in_digits(text: str) -> None:
    assert TASKS["digits"].truth(text) is None


def test_letters() -> None:
    assert TASKS["reversal"].truth("stressed") == "desserts"
    assert TASKS["sorting"].truth("mississippi") == "iiiimppssss"
    assert TASKS["sorting"].truth("a b") is None


@EVERY
def test_what_is_drawn_can_be_typed_and_written(name: str) -> None:
    task, rng = TASKS[name], random.Random(3)
    pairs = [task.sample(rng) for _ in range(3000)]
    assert pairs == [task.sample(again) for again in [random.Random(3)] for _ in range(3000)]
    sources, targets = {letter for source, _ in pairs for letter in source}, {letter for _, target in pairs for letter in target}
    assert sources | set("z0") >= set(task.source_alphabet) >= sources
    assert targets <= set(task.target_alphabet)
    for source, target in pairs:
        assert task.check(source) == source
        assert task.truth(source) == target
        assert task.trained[0] <= len(source) <= task.trained[1]
        assert len(target) < task.longest_output
    assert all(task.truth(task.check(example)) for example in task.examples)


@EVERY
def test_parts_are_apart_and_every_character_is_trained(name: str) -> None:
    task, rng = TASKS[name], random.Random(4)
    parts = {part: {task.sample_from(part, rng)[0] for _ in range(400)} for part in ("train", "stop", "test")}
    assert all(part_of(source) == part for part, sources in parts.items() for source in sources)
    assert not parts["train"] & parts["test"]
    assert part_of("zero") == part_of("0") == "train"
    for length in task.lengths:
        source, target = task.sample_from("test", rng, length)
        assert abs(len(source) - length) <= 1
        assert task.truth(source) == target


@EVERY
def test_a_wished_length_is_the_nearest_that_can_be_made(name: str) -> None:
    task, rng = TASKS[name], random.Random(5)
    wished = task.trained[0] + 2
    assert abs(len(task.sample(rng, wished)[0]) - wished) <= 2
    assert len(task.sample(rng, 1000)[0]) <= task.longest


class TestCheck:
    def test_case_blanks_and_typography_are_forgiven(self) -> None:
        assert TASKS["dates"].check("  Tuesday,\t3rd of\nMay ’94 ") == "tuesday, 3rd of may '94"

    @EVERY
    @pytest.mark.parametrize("text", ["", "   ", "\n\t"])
    def test_nothing(self, name: str, text: str) -> None:
        with pytest.raises(vizlib.TextError, match="nothing to read yet"):
            TASKS[name].check(text)

    @EVERY
    def test_too_long_says_both_numbers(self, name: str) -> None:
        task = TASKS[name]
        with pytest.raises(vizlib.TextError, match=rf"has {task.longest + 1} characters.*at most {task.longest}\b"):
            task.check(task.source_alphabet[0] * (task.longest + 1))

    def test_other_characters_are_named(self) -> None:
        with pytest.raises(vizlib.TextError, match=r"never learned '😀', 'q', 'k' and more: it reads letters except k, q and z"):
            TASKS["dates"].check("3 may 😀 1994 qkz")
        with pytest.raises(vizlib.TextError, match=r"the blank"):
            TASKS["reversal"].check("two words")
        with pytest.raises(vizlib.TextError, match=r"U\+200D"):
            TASKS["reversal"].check("a\u200db")
