"""Values that a sentence names: identifiers, dates, numbers, quoted text, proper names, with their cues."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from specflow.prediction.dates import find_dates, iso_date
from specflow.prediction.language import NOT_NAMES, ROLE_OF
from specflow.prediction.words import Token, name_words, stem, word_set

MAX_VALUES = 24
MAX_TEXT = 120
_NUMBER = re.compile(r"[-+]?[$€£]?\d[\d,]*(?:\.\d+)?%?")
_CODE = re.compile(r"[A-Z]{2,5}")
_OPENERS = {'"': '"', "“": "”", "«": "»", "「": "」", "`": "`", "„": "“"}
_JOINERS = frozenset(
    {"de", "of", "la", "da", "du", "del", "van", "von", "der", "le", "el", "dos", "al", "bin"}
)
_LINKS = word_set("is are as = : to ist est es number id be called named")


class ValueKind(StrEnum):
    """What a value looks like."""

    IDENTIFIER = "identifier"
    DATE = "date"
    NUMBER = "number"
    CODE = "code"
    NAME = "name"
    QUOTED = "quoted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A closed value of a sentence.

    `before` are the stems of up to four words in front of it, nearest first; `beside` the one right in
    front unless that is a preposition; `role` the preposition's job (`from`, `to`, ...); `key` the name
    written in front of a `:` or `=`; `after` the stem of the next word; `said_year` is False for a date
    whose year was supplied from elsewhere.
    """

    text: str
    kind: ValueKind
    first: int
    last: int
    role: str = ""
    key: str = ""
    before: tuple[str, ...] = ()
    beside: str = ""
    after: str = ""
    said_year: bool = True


def find_values(words: Sequence[Token], *, year: int | None = None, today: str = "") -> list[Value]:
    """The values among a sentence's tokens, in order, at most 24."""
    found: list[Value] = []
    dates = {date.first: date for date in find_dates(words, year=year, today=today)}
    at = 0
    while at < len(words) and len(found) < MAX_VALUES:
        value: Value | None
        if at in dates:
            date = dates[at]
            value = _value(words, date.iso, ValueKind.DATE, at, date.last, said_year=date.said_year)
        else:
            value = _quoted(words, at) or _single(words, at) or _name(words, at)
        if value is not None:
            found.append(value)
            at = value.last
        at += 1
    return found


def _value(
    words: Sequence[Token], text: str, kind: ValueKind, first: int, last: int, *, said_year: bool = True
) -> Value:
    before = [token for token in words[max(0, first - 7) : first] if token.low not in _OPENERS][::-1]
    role = next((ROLE_OF[token.low] for token in before[:2] if token.low in ROLE_OF), "")
    after = next((stem(token.low) for token in words[last + 1 : last + 4] if not token.sign), "")
    plain: list[str] = []
    for token in before:
        if not token.sign and token.low not in _LINKS:
            plain.extend(stem(part) for part in reversed(name_words(token.text)))
        elif token.low in {"id", "number"}:
            plain.append(token.low)
        elif token.text in {",", ";"} and not plain:
            break
    beside = plain[0] if plain and before[0].low not in ROLE_OF else ""
    key = ""
    if before and before[0].text in {":", "=", "\uff1a"}:
        key = next((token.low for token in before if not token.sign), "")
    return Value(
        text=text,
        kind=kind,
        first=first,
        last=last,
        role=role,
        key=key,
        before=tuple(plain[:4]),
        beside=beside,
        after=after,
        said_year=said_year,
    )


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
    return _value(words, text, kind, at, end)


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
    if _NUMBER.fullmatch(text):
        before = words[at - 1].text if at else ""
        if _CODE.fullmatch(before) and len(before) <= 3 and 2 <= len(text) <= 5:
            # "SK 101": a code and a number with a space between them.
            return _value(words, before + text, ValueKind.IDENTIFIER, at - 1, at)
        return _value(words, text, ValueKind.NUMBER, at, at)
    kind = _kind(text, words[at + 1].text if at + 1 < len(words) else "")
    return _value(words, text, kind, at, at) if kind is not None else None


def _kind(text: str, follows: str) -> ValueKind | None:
    if looks_like_identifier(text):
        return ValueKind.IDENTIFIER if len(text) <= MAX_TEXT else None
    if _CODE.fullmatch(text) and text.lower() not in NOT_NAMES:
        taken_along = _NUMBER.fullmatch(follows) and len(text) <= 3 and len(follows) <= 5
        return None if taken_along else ValueKind.CODE
    if text.isupper() and text.isalnum() and 4 < len(text) <= 12 and text.isascii():
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
    return _value(words, text, ValueKind.NAME, at, last - 1)


def _capital(token: Token) -> bool:
    return (
        not token.sign
        and token.text[0].isupper()
        and len(token.text) > 1
        and not token.text.isupper()
        and token.low not in NOT_NAMES
        and not any(letter.isdigit() for letter in token.text)
    )
