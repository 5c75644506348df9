"""Whole numbers from 0 to 99,999 in English words, with and without "and" and the hyphen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

MOST: Final = 99_999
_UNITS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES: Final = {word: number for number, word in enumerate(_UNITS)} | {word: 10 * number for number, word in enumerate(_TENS, 2)}
_SHARES: Final = (1, 2, 4, 6, 8)  # how often a number has one, two, ... five digits


def in_words(number: int, *, link: str = " and ", hyphen: str = "-") -> str:
    """A number from 0 to 99,999: 342 is three hundred and forty-two, 1005 one thousand and five."""
    thousands, below_thousand = divmod(number, 1000)
    hundreds, below_hundred = divmod(below_thousand, 100)
    text = f"{_below_hundred(thousands, hyphen)} thousand" if thousands else ""
    if hundreds:
        text += f"{' ' if text else ''}{_UNITS[hundreds]} hundred"
    if below_hundred or not text:
        text += (link if text else "") + _below_hundred(below_hundred, hyphen)
    return text


def read_words(text: str) -> str | None:
    """The digits of a number in words; None when the words are no number, or not in one of the four ways of writing it."""
    total = part = 0
    for word in text.replace("-", " ").split():
        if word == "thousand":
            total, part = 1000 * part, 0
        elif word == "hundred":
            part *= 100
        elif word in _VALUES:
            part += _VALUES[word]
        elif word != "and":
            return None
    number = total + part
    # The sum above reads any order of words, so the number is written again and compared.
    return str(number) if number <= MOST and text in {in_words(number, link=a, hyphen=h) for a in (" and ", " ") for h in "- "} else None


def read_digits(text: str) -> str | None:
    """The words of a number in digits, with "and" and the hyphen; None for what is no number, has leading zeros or is over 99,999."""
    plain = text.isascii() and text.isdecimal() and (text == "0" or text[0] != "0") and len(text) <= len(str(MOST))
    return in_words(int(text)) if plain else None


def make_words(rng: random.Random, _length: int | None = None) -> str:
    """A number in words, in one of the four ways of writing it."""
    return in_words(_number(rng, None), link=rng.choice((" and ", " ")), hyphen=rng.choice("- "))


def make_digits(rng: random.Random, length: int | None = None) -> str:
    """A number in digits; ``length`` is how many."""
    return str(_number(rng, length))


def _number(rng: random.Random, digits: int | None) -> int:
    most = len(_SHARES)
    digits = rng.choices(range(1, most + 1), _SHARES)[0] if digits is None else min(max(digits, 1), most)
    return rng.randrange(0 if digits == 1 else 10 ** (digits - 1), 10**digits)


def _below_hundred(number: int, hyphen: str) -> str:
    if number < len(_UNITS):
        return _UNITS[number]
    tens, unit = divmod(number, 10)
    return _TENS[tens - 2] + (f"{hyphen}{_UNITS[unit]}" if unit else "")
