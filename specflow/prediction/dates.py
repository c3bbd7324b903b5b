"""Dates as people and models write them, as ISO text."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from specflow.prediction.words import Token

_MONTH_NAMES = (
    "jan january januar", "feb february februar", "mar march märz", "apr april", "may mai", "jun june juni",
    "jul july juli", "aug august", "sep sept september", "oct october oktober", "nov november",
    "dec december dezember",
)  # fmt: skip
_MONTHS = {
    name: number
    for number, names in enumerate(
        _MONTH_NAMES,
        start=1,
    )
    for name in names.split()
}
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_DAY = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?\.?")
_YEAR = re.compile(r"(?:19|20)\d\d")
_RELATIVE = {"today": 0, "tomorrow": 1, "yesterday": -1}


@dataclass(frozen=True, slots=True)
class FoundDate:
    """A date over the tokens `first` to `last`. `said_year` is False when the year was supplied by us."""

    iso: str
    first: int
    last: int
    said_year: bool = True


def _iso(year: int, month: int, day: int) -> str:
    try:
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        return ""


def iso_date(text: str) -> str:
    """`text` if it is a valid ISO date, else nothing."""
    return _iso_date(text) if len(text) == 10 else ""


@lru_cache(maxsize=4096)
def _iso_date(text: str) -> str:
    match = _ISO.fullmatch(text)
    return _iso(int(match[1]), int(match[2]), int(match[3])) if match else ""


def may_begin_date(low: str) -> bool:
    """Whether a word of letters may be the first of a date."""
    return low in _MONTHS or low in _RELATIVE


def date_at(words: Sequence[Token], at: int, year: int | None, today: str) -> FoundDate | None:
    """The date that begins with a token; one without a year gets `year`, or is none when that is None."""
    low = words[at].low
    if not (low[0].isdigit() or may_begin_date(low)):
        return None
    if (iso := iso_date(low)) != "":
        return FoundDate(iso, at, at)
    if low in _RELATIVE and today:
        day = datetime.date.fromisoformat(today) + datetime.timedelta(days=_RELATIVE[low])
        return FoundDate(day.isoformat(), at, at, said_year=False)
    month, day_text, last = 0, "", at
    if low in _MONTHS and at + 1 < len(words):
        month, day_text, last = _MONTHS[low], words[at + 1].low, at + 1
    elif _DAY.fullmatch(low):
        after = at + 2 if at + 1 < len(words) and words[at + 1].low == "of" else at + 1
        if after < len(words) and words[after].low in _MONTHS:
            month, day_text, last = _MONTHS[words[after].low], low, after
    match = _DAY.fullmatch(day_text)
    if not month or match is None:
        return None
    following = [token.text for token in words[last + 1 : last + 3] if token.text != ","]
    if following and _YEAR.fullmatch(following[0]):
        last += 2 if words[last + 1].text == "," else 1
        return _found(_iso(int(following[0]), month, int(match[1])), at, last, said=True)
    return _found(_iso(year, month, int(match[1])), at, last, said=False) if year is not None else None


def _found(iso: str, first: int, last: int, *, said: bool) -> FoundDate | None:
    return FoundDate(iso, first, last, said) if iso else None
