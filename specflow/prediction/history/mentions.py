"""The values that a person or the model mentions in a text, by what they look like and what stands before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice, pairwise, product

from specflow.prediction.history.places import begins_place, codes_of
from specflow.prediction.history.seen import MAX_VALUE, Record, Seen
from specflow.prediction.language import ROLE_OF
from specflow.prediction.tool_words import shape
from specflow.prediction.values import Value, ValueKind, find_values, may_hold_values
from specflow.prediction.words import Token, stem, tokens

MAX_TEXT = 20_000
MOST_WAYS = 6
"""Pairs of codes by which one may get from one place that is named to the next."""
_OPENING = re.compile(r"[^\W\d_]+")
_BARE = re.compile(r"[A-Z]{1,3}\d{4,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")


def mentions_in(who: str, text: str, *, year: int | None) -> tuple[Seen, ...]:
    """The values that `who` (user or assistant) mentions, in order. `year` is for dates that have none."""
    return _mentions(who, text[:MAX_TEXT], year)


@lru_cache(maxsize=512)
def _mentions(who: str, text: str, year: int | None) -> tuple[Seen, ...]:
    found: list[Seen] = []
    places: list[tuple[tuple[str, ...], str]] = []
    for sentence in _SENTENCE.split(text):
        if not may_hold_values(sentence) and not _may_begin_place(sentence):
            # As most are.
            continue
        words = tokens(sentence)
        for value in find_values(words, year=year):
            if len(value.text) <= MAX_VALUE:
                found.extend(_as_seen(who, value))
        places.extend(_stops(words))
    ways = _from_to(who, places)
    for at, (codes, role) in enumerate(places):
        for code in codes:
            found.append(Seen(f"{who}~place", code))
            if role:
                record = ways.get(at) if code == codes[0] else None
                found.append(Seen(f"{who}~place.{role}", code, record))
    for record in _one_after_the_other(who, places):
        found.extend(Seen(path, code, record) for path, code in record.fields.items())
    return tuple(found)


def _from_to(who: str, places: Sequence[tuple[Sequence[str], str]]) -> dict[int, Record]:
    """What stands behind a `from` and the next `to`, by its usual code; by the numbers of both places."""
    found: dict[int, Record] = {}
    begun = -1
    for at, (codes, role) in enumerate(places):
        if role == "from":
            begun = at
        elif role == "to" and begun >= 0:
            fields = {f"{who}~place.from": places[begun][0][0], f"{who}~place.to": codes[0]}
            found[begun] = found[at] = Record(fields=fields)
            begun = -1
    return found


def _one_after_the_other(who: str, places: Sequence[tuple[Sequence[str], str]]) -> Iterator[Record]:
    """Each place and the next one, by all their codes; never two codes of one place."""
    stops: list[Sequence[str]] = []
    for codes, _ in places:
        if stops and not set(codes).isdisjoint(stops[-1]):
            # Said again, or more exactly: "Houston (HOU)".
            stops[-1] = min(stops[-1], codes, key=len)
        else:
            stops.append(codes)
    for origins, targets in pairwise(stops):
        for origin, target in islice(product(origins, targets), MOST_WAYS):
            yield Record(fields={f"{who}~first": origin, f"{who}~second": target})


def _as_seen(who: str, value: Value) -> Iterator[Seen]:
    around = value.cues
    cues = sorted({*around.near, stem(around.key)} - {""})
    if value.kind is ValueKind.NAME:
        yield Seen(f"{who}~name", value.text)
        parts = value.text.split()
        if len(parts) == 1:
            yield from _called(f"{who}~name.single", parts[0], cues)
            return
        for cue in ("", *cues):
            ends = {
                f"{who}~name.first@{cue}": parts[0],
                f"{who}~name.last@{cue}": parts[-1],
            }
            record = Record(fields=ends)
            yield from (Seen(path, part, record, cue) for path, part in ends.items())
        return
    path = f"{who}~date" if value.kind is ValueKind.DATE else f"{who}~{outline(value.text)}"
    yield from _called(path, value.text, cues)
    if _BARE.fullmatch(value.text):
        # People leave the sign of a number out that the service wants.
        yield Seen(f"{who}~#{outline(value.text)}", f"#{value.text}")
    if value.kind is ValueKind.DATE and around.role:
        yield Seen(f"{path}.{around.role}", value.text)


def _called(path: str, text: str, cues: Sequence[str]) -> Iterator[Seen]:
    yield Seen(path, text)
    yield from (Seen(f"{path}@{cue}", text, cue=cue) for cue in cues)


def outline(text: str) -> str:
    """What an identifier looks like, for paths; long codes look alike with and without digits."""
    if "@" in text:
        return "@"
    found = shape(text)[:24]
    return f"X{found[1:]}" if found[0] == "A" and found[1:].isdigit() and int(found[1:]) > 4 else found


def _stops(words: Sequence[Token]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Codes of each place that is named, with `from` or `to` where that stands before it."""
    at = 0
    while at < len(words):
        if not words[at].text[:1].isupper():
            at += 1
            continue
        codes, taken = _place(words, at)
        role = ROLE_OF.get(words[at - 1].low, "") if codes and at else ""
        if codes:
            yield codes, role
        at += taken


def _may_begin_place(sentence: str) -> bool:
    """Whether a sentence that holds no value may name a place: where it begins, as no other word of it has a
    capital.
    """
    opening = _OPENING.match(sentence)
    return opening is not None and begins_place(opening[0].lower())


def _place(words: Sequence[Token], at: int) -> tuple[tuple[str, ...], int]:
    """The codes of the place that is named there, with a capital letter, and how many words that takes."""
    for length in (3, 2, 1):
        part = words[at : at + length]
        if len(part) == length:
            codes = codes_of(" ".join(word.low for word in part))
            if codes:
                return codes, length
    text = words[at].text
    if len(text) == 3 and text.isascii() and text.isalpha() and text.isupper() and codes_of(text.lower()):
        return (text,), 1
    return (), 1
