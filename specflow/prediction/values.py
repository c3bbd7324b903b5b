"""Values that a sentence names: identifiers, dates, numbers, quoted text, proper names, with their cues."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from specflow.prediction.dates import FoundDate, date_at, iso_date, may_begin_date
from specflow.prediction.language import NOT_NAMES, ROLE_OF
from specflow.prediction.words import Token, name_words, stem, word_set

MAX_VALUES = 24
MAX_TEXT = 120
_NUMBER = re.compile(r"[-+]?[$€£]?\d[\d,]*(?:\.\d+)?%?")
_TIME = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d")
# A file, a URL, "owner/name"; not "and/or", which no parameter that takes a path is about.
_PATH = re.compile(r"(?:https?://\S+|/?[\w.@-]+(?:/[\w.@-]+)+/?|[\w-]+\.[a-zA-Z]{1,5})")
_CODE = re.compile(r"[A-Z]{2,5}")
_OPENERS = {'"': '"', "“": "”", "«": "»", "「": "」", "`": "`", "„": "“"}
_JOINERS = frozenset({"de", "of", "la", "da", "du", "del", "van", "der", "le", "el", "dos", "al", "bin"})
_SIGNS = frozenset('"“„«「`@#/')
_RELATIVE = re.compile("today|tomorrow|yesterday", re.IGNORECASE)
_KEYED = frozenset({":", "=", "\uff1a"})
_PAUSES = frozenset({",", ";"})
_COUNTED = frozenset({"id", "number"})
_LINKS = word_set("is are as = : to ist est es number id be called named")


class ValueKind(StrEnum):
    """What a value looks like."""

    IDENTIFIER = "identifier"
    DATE = "date"
    NUMBER = "number"
    CODE = "code"
    NAME = "name"
    QUOTED = "quoted"
    PATH = "path"
    TIME = "time"


# What every value has: a digit, a sign of its own, or a capital (or a letter of another script) with a letter
# behind it. A word that has none of them and may not begin a date is passed over. One class stands in front,
# so that everything else is skipped at the speed of a table.
_PROMISING = re.compile(r"[^a-z\s_,;:!?'()\-](?:(?<=[\d\"“„«「`@#/])|(?<=\.|[^\W\d_])\w)")


class Value:
    """A closed value of a sentence, over its tokens `first` to `last`.

    `said_year` is False for a date whose year was supplied from elsewhere. What stands around it is
    looked at when it is asked for, which it seldom is.
    """

    __slots__ = ("_cues", "_words", "first", "kind", "last", "said_year", "text")

    def __init__(
        self,
        words: Sequence[Token],
        text: str,
        kind: ValueKind,
        first: int,
        last: int,
        *,
        said_year: bool = True,
    ) -> None:
        self._words = words
        self._cues: Cues | None = None
        self.text = text
        self.kind = kind
        self.first = first
        self.last = last
        self.said_year = said_year

    @property
    def cues(self) -> Cues:
        """What stands around it."""
        if self._cues is None:
            self._cues = _cues(self._words, self.first, self.last)
        return self._cues


class Cues(NamedTuple):
    """What stands around a value.

    `near` are the stems of up to three words in front of it; `beside` the one right in front unless that is a
    preposition; `role` the preposition's job (`from`, `to`, ...); `key` the name written in front of a `:` or
    `=`; `after` the stem of the next word.
    """

    role: str
    key: str
    near: frozenset[str]
    beside: str
    after: str


def may_hold_values(text: str, *, today: str = "") -> bool:
    """False when `find_values` would find nothing in the text, as in most sentences."""
    if _PROMISING.search(text, 1) or _opens_with_one(text):
        return True
    return bool(today) and _RELATIVE.search(text) is not None


def count_promising(text: str, start: int = 0) -> int:
    """No fewer than `find_values` will find from `start`, enumerated words and relative dates apart."""
    if start:
        return len(_PROMISING.findall(text, start))
    return len(_PROMISING.findall(text, 1)) + _opens_with_one(text)


def _opens_with_one(text: str) -> bool:
    """Whether the text begins with a value as far as its first letters tell: "US" is a code, "Us" is none."""
    first = text[:1]
    return first.isdigit() or first in _SIGNS or text[1:2].isupper()


def find_values(words: Sequence[Token], *, year: int | None = None, today: str = "") -> list[Value]:
    """The values among a sentence's tokens, in order, at most 24."""
    found: list[Value] = []
    at, end = 0, len(words)
    while at < end:
        token = words[at]
        text = token.text
        if (text.islower() and text.isalpha() and not may_begin_date(text)) or (
            token.sign and text not in _OPENERS
        ):
            at += 1
            continue
        date = date_at(words, at, year, today)
        value = _dated(words, date) if date else _quoted(words, at) or _single(words, at) or _name(words, at)
        if value is not None:
            found.append(value)
            if len(found) >= MAX_VALUES:
                break
            at = value.last
        at += 1
    return found


def _dated(words: Sequence[Token], date: FoundDate) -> Value:
    return Value(words, date.iso, ValueKind.DATE, date.first, date.last, said_year=date.said_year)


def _cues(words: Sequence[Token], first: int, last: int) -> Cues:
    before = [token for token in words[max(0, first - 7) : first][::-1] if token.low not in _OPENERS]
    role = key = after = beside = ""
    near = _stems_of(before)
    if before:
        lead = before[0].low
        role = ROLE_OF.get(lead, "")
        if near and not role:
            beside = near[0]
        if not role and len(before) > 1:
            role = ROLE_OF.get(before[1].low, "")
        if lead in _KEYED:
            key = next((token.low for token in before if not token.sign), "")
    for token in words[last + 1 : last + 4]:
        if not token.sign:
            after = stem(token.low)
            break
    return Cues(role, key, frozenset(near), beside, after)


def _stems_of(before: Sequence[Token]) -> list[str]:
    """Of the words in front of a value, nearest first, the stems of three."""
    found: list[str] = []
    for token in before:
        if len(found) >= 3:
            break
        low = token.low
        if not token.sign and low not in _LINKS:
            if low == token.text and low.isalpha() and low.isascii():
                found.append(stem(low))
            else:
                found.extend(stem(part) for part in reversed(name_words(token.text)))
        elif low in _COUNTED:
            found.append(low)
        elif low in _PAUSES and not found:
            break
    return found[:3]


def _quoted(words: Sequence[Token], at: int) -> Value | None:
    closer = _OPENERS.get(words[at].text)
    if closer is None:
        return None
    end = next((end for end in range(at + 1, min(len(words), at + 24)) if words[end].text == closer), at)
    inside = words[at + 1 : end]
    if not inside or inside[-1].end - inside[0].start > MAX_TEXT:
        return None
    if end + 1 < len(words) and words[end + 1].text in {":", "="}:
        return None  # a key of JSON in prose; what follows is the value
    text, kind = spelled(inside), ValueKind.QUOTED
    if len(inside) == 1:
        if iso := iso_date(text):
            text, kind = iso, ValueKind.DATE
        elif (single := _single(words, at + 1)) is not None:
            text, kind = single.text, single.kind
    return Value(words, text, kind, at, end)


def spelled(words: Sequence[Token]) -> str:
    """The text of some neighbouring tokens, with single spaces where there were any."""
    text, previous = "", words[0].start
    for token in words:
        text += " " * min(1, token.start - previous) + token.text
        previous = token.end
    return text


def looks_like_identifier(text: str) -> bool:
    """Whether a word is an identifier rather than a word of a language."""
    return (
        any(letter.isdigit() for letter in text)
        and any(letter.isalpha() or letter in "#_@" for letter in text)
        and not re.fullmatch(r"\d+(?:st|nd|rd|th|h|hrs|am|pm|s|x)", text.lower())
    ) or ("@" in text and "." in text)


def _single(words: Sequence[Token], at: int) -> Value | None:
    token = words[at]
    text = token.text.strip("*")
    if token.sign or not text:
        return None
    kind = None if text.isalpha() else _kind_of(text)
    if kind is ValueKind.NUMBER:
        before = words[at - 1].text if at else ""
        if _CODE.fullmatch(before) and len(before) <= 3 and 2 <= len(text) <= 5:
            # "SK 101": a code and a number with a space between them.
            return Value(words, before + text, ValueKind.IDENTIFIER, at - 1, at)
        return Value(words, text, ValueKind.NUMBER, at, at)
    if kind is None and text.isupper():
        kind = _code(text, words[at + 1].text if at + 1 < len(words) else "")
    return Value(words, text, kind, at, at) if kind is not None else None


@lru_cache(maxsize=4096)
def _kind_of(text: str) -> ValueKind | None:
    """Of what is more than letters."""
    kind: ValueKind | None = None
    if _NUMBER.fullmatch(text):
        kind = ValueKind.NUMBER
    elif len(text) > MAX_TEXT:
        kind = None
    elif _TIME.fullmatch(text):
        kind = ValueKind.TIME
    elif _PATH.fullmatch(text):
        kind = ValueKind.PATH
    elif looks_like_identifier(text):
        kind = ValueKind.IDENTIFIER
    return kind


def _code(text: str, follows: str) -> ValueKind | None:
    if not text.isupper():
        return None
    if _CODE.fullmatch(text) and text.lower() not in NOT_NAMES:
        taken_along = _NUMBER.fullmatch(follows) and len(text) <= 3 and len(follows) <= 5
        return None if taken_along else ValueKind.CODE
    if text.isalnum() and 4 < len(text) <= 12 and text.isascii():
        return ValueKind.IDENTIFIER
    return None


def _name(words: Sequence[Token], at: int) -> Value | None:
    """A run of capitalised words; a single one only away from the start of the sentence."""
    last = at
    while last < len(words) and _capital(words[last]) and last - at < 5:
        last += 1
        if last < len(words) - 1 and words[last].low in _JOINERS and _capital(words[last + 1]) and last > at:
            last += 1
    if last == at or (at == 0 and last == 1):
        return None
    text = spelled(words[at:last])
    return Value(words, text, ValueKind.NAME, at, last - 1)


def _capital(token: Token) -> bool:
    return (
        not token.sign
        and token.text[0].isupper()
        and len(token.text) > 1
        and not token.text.isupper()
        and token.low not in NOT_NAMES
        and not any(letter.isdigit() for letter in token.text)
        and _PROMISING.search(token.text) is not None  # of "I'llI'll" no capital has a letter behind it
    )
