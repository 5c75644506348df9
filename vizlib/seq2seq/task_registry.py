"""The five tasks, by name."""

from __future__ import annotations

from string import ascii_lowercase, digits
from typing import Final

from vizlib.seq2seq import dates, letter_tasks, number_words
from vizlib.seq2seq.task_base import Task

_WORD_LETTERS: Final = "adefghilnorstuvwxyz"  # those of the numbers in words

_ALL: Final = (
    Task(
        name="dates",
        title="Dates to ISO",
        explain="A date as people write it becomes YYYY-MM-DD: dots mean day first, slashes month first, '69 is 1969 and '68 is 2068.",
        examples=(
            "tuesday, 3rd of may 1994",
            "the twenty-first of june 2031",
            "feb. 29, 2000",
            "sat 8 november '75",
            "12/24/1987",
            "wednesday, the twenty-eighth of september, 1977",
        ),
        source_alphabet="abcdefghijlmnoprstuvwxy" + digits + " '-./,",
        target_alphabet=digits + "-",
        accepts="letters except k, q and z, digits, blanks and . , ' / -",
        longest=60,
        longest_output=14,
        trained=(6, 48),
        lengths=(8, 12, 16, 20, 24, 28, 32, 36),
        make=dates.make,
        read=dates.read,
    ),
    Task(
        name="numbers",
        title="Numbers in words to digits",
        explain="A number from zero to ninety-nine thousand nine hundred and ninety-nine, in words, becomes digits.",
        examples=(
            "three hundred and forty-two",
            "seventy-one thousand and six",
            "ninety thousand five hundred twelve",
            "eighty-eight",
            "forty-seven thousand three hundred and seventeen",
        ),
        source_alphabet=_WORD_LETTERS + " -",
        target_alphabet=digits,
        accepts="the letters of numbers in words, blanks and -",
        longest=60,
        longest_output=8,
        trained=(3, 54),
        lengths=(12, 16, 20, 24, 28, 32, 36, 40, 44, 48),
        make=number_words.make_words,
        read=number_words.read_words,
    ),
    Task(
        name="digits",
        title="Digits to numbers in words",
        explain="A number from 0 to 99999 in digits becomes words, with 'and' and hyphens.",
        examples=("342", "71006", "90512", "88", "47317"),
        source_alphabet=digits,
        target_alphabet=_WORD_LETTERS + " -",
        accepts="the digits 0 to 9",
        longest=5,
        longest_output=60,
        trained=(1, 5),
        lengths=(3, 4, 5),
        make=number_words.make_digits,
        read=number_words.read_digits,
    ),
    Task(
        name="reversal",
        title="Letters turned around",
        explain="The same letters from last to first; trained on 2 to 12 letters, so longer rows show how far the rule was understood.",
        examples=("attention", "stressed", "abcdefghijkl", "bottleneck", "mississippi"),
        source_alphabet=ascii_lowercase,
        target_alphabet=ascii_lowercase,
        accepts="the letters a to z, without blanks",
        longest=letter_tasks.LONGEST,
        longest_output=letter_tasks.LONGEST + 4,
        trained=letter_tasks.TRAINED,
        lengths=(4, 6, 8, 10, 12, 14, 16, 20),
        make=letter_tasks.make,
        read=letter_tasks.reverse_letters,
    ),
    Task(
        name="sorting",
        title="Letters sorted",
        explain="The same letters in alphabetical order; trained on 2 to 12 letters, so longer rows show how far the rule was understood.",
        examples=("attention", "transformer", "zyxwvu", "bottleneck", "mississippi"),
        source_alphabet=ascii_lowercase,
        target_alphabet=ascii_lowercase,
        accepts="the letters a to z, without blanks",
        longest=letter_tasks.LONGEST,
        longest_output=letter_tasks.LONGEST + 4,
        trained=letter_tasks.TRAINED,
        lengths=(4, 6, 8, 10, 12, 14, 16, 20),
        make=letter_tasks.make,
        read=letter_tasks.sort_letters,
    ),
)
TASKS: Final[dict[str, Task]] = {task.name: task for task in _ALL}
