"""Dates as people write them, and what they are in ISO 8601. Dots mean day first, slashes month first; 69 is 1969, 68 is 2068."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ONES: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_TEENS: Final = (
    "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
)  # fmt: skip
ORDINALS: Final = (
    *_ONES, *_TEENS, "twentieth", *(f"twenty-{ordinal}" for ordinal in _ONES), "thirtieth", "thirty-first",
)  # fmt: skip
FIRST, LAST = 1900, 2099
_PIVOT: Final = 69  # the two-digit years of POSIX

_WEEKDAY = "|".join(f"{name}|{name[:3]}[.]?" for name in WEEKDAYS)
_MONTH = "|".join(f"{name}|{name[:3]}[.]?" for name in MONTHS)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?|" + "|".join(sorted(ORDINALS, key=len, reverse=True))
_YEAR = r"\d{4}|'?\d{2}"
_FORMS: Final = tuple(
    re.compile(form)
    for form in (
        rf"(?:(?P<weekday>{_WEEKDAY}),? )?(?:the )?(?P<day>{_DAY})(?: of)? (?P<month>{_MONTH}),? (?P<year>{_YEAR})",
        rf"(?:(?P<weekday>{_WEEKDAY}),? )?(?P<month>{_MONTH}) (?:the )?(?P<day>{_DAY}),? (?P<year>{_YEAR})",
        r"(?P<day>\d{1,2})-(?P<month>[a-z]{3})-(?P<year>\d{4}|\d{2})",
        r"(?P<day>\d{1,2})[.](?P<month>\d{1,2})[.](?P<year>\d{4}|\d{2})",
        r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}|\d{2})",
        r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})",
    )
)


def read(text: str) -> str | None:
    """The date of a text as YYYY-MM-DD; None when the text is no date, the date does not exist, or the weekday is another."""
    match = next((form_match for form in _FORMS if (form_match := form.fullmatch(text))), None)
    if match is None:
        return None
    parts = match.groupdict()
    day, month = _day(parts["day"]), _month(parts["month"])
    if day is None or month is None:
        return None
    try:
        day_read = date(_year(parts["year"]), month, day)
    except ValueError:
        return None
    weekday = parts.get("weekday")
    if not FIRST <= day_read.year <= LAST or (weekday and not WEEKDAYS[day_read.weekday()].startswith(weekday.rstrip("."))):
        return None
    return day_read.isoformat()


def make(rng: random.Random, _length: int | None = None) -> str:
    """A date between 1900 and 2099, written in one of the many forms that ``read`` reads."""
    short = rng.random() < 0.25
    first, last = (date(1969, 1, 1), date(2068, 12, 31)) if short else (date(FIRST, 1, 1), date(LAST, 12, 31))
    day_made = first + timedelta(days=rng.randrange((last - first).days + 1))
    year = f"{day_made.year % 100:02d}" if short else str(day_made.year)
    if rng.random() < 0.2:
        return _in_digits(rng, day_made, year)
    month = MONTHS[day_made.month - 1] if rng.random() < 0.6 else MONTHS[day_made.month - 1][:3] + rng.choice(("", "."))
    style = rng.random()
    day = str(day_made.day) if style < 0.3 else numbered(day_made.day) if style < 0.6 else ORDINALS[day_made.day - 1]
    the = "the " if style >= 0.3 and rng.random() < 0.4 else ""
    year = f"'{year}" if short and rng.random() < 0.5 else year
    if rng.random() < 0.6:
        of = " of" if style >= 0.3 and rng.random() < 0.5 else ""
        text = f"{the}{day}{of} {month}{rng.choice(('', ','))} {year}"
    else:
        text = f"{month} {the}{day}{rng.choice(('', ','))} {year}"
    if rng.random() < 0.5:
        weekday = WEEKDAYS[day_made.weekday()]
        text = f"{weekday if rng.random() < 0.6 else weekday[:3] + rng.choice(('', '.'))}{rng.choice(('', ','))} {text}"
    return text


def numbered(day: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st and so on."""
    return f"{day}{'th' if day in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


def _in_digits(rng: random.Random, day_made: date, year: str) -> str:
    day, month = (f"{day_made.day:02d}", f"{day_made.month:02d}") if rng.random() < 0.5 else (str(day_made.day), str(day_made.month))
    forms = [f"{day}.{month}.{year}", f"{month}/{day}/{year}", f"{day}-{MONTHS[day_made.month - 1][:3]}-{year}"]
    return rng.choice([*forms, day_made.isoformat()] if len(year) == 4 else forms)


def _day(word: str) -> int | None:
    if word in ORDINALS:
        return ORDINALS.index(word) + 1
    day = int(word.rstrip("stndrh"))
    return day if word[-1].isdigit() or word == numbered(day) else None


def _month(word: str) -> int | None:
    if word.isdigit():
        return int(word)
    return next((number for number, name in enumerate(MONTHS, 1) if word in (name, name[:3], f"{name[:3]}.")), None)


def _year(word: str) -> int:
    digits = word.lstrip("'")
    year = int(digits)
    return year if len(digits) == 4 else year + (1900 if year >= _PIVOT else 2000)
