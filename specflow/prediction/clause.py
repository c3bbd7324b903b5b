# ruff: noqa: RUF001
# (the full stops of many scripts are meant)
"""Cuts a stream of text into sentences as they end, and marks the places where one may be read early.

What is cut where depends on the text alone, never on how the stream arrived.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

MAX_SENTENCE = 600
MAX_LOOKS = 4
"""Early looks at one unfinished sentence: what bounds the work for each character."""
# Each alternative begins with a character of its own: everything else is skipped at the speed of a table.
_CLOSED = r"(?=\s|[\"”'*)])"  # a full stop inside 2.5 or v1.2 does not count
_STOP = re.compile(
    r" (?:[—–-]{1,3}(?= )|(?=(?:to|so|because|since|before|which|while|then|using|via|but)\s))"
    r"|,(?=\s)"
    rf"|\.(?:[.!?]{{0,2}}{_CLOSED}|\.\.)|![.!?]{{0,2}}{_CLOSED}|\?[.!?]{{0,2}}{_CLOSED}|"
    + "|".join("…。！？；\n;，、")
)
_ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|vs|mr|mrs|ms|dr|st|etc|a\.m|p\.m|approx|[a-z])$|^\s*\d{1,2}$", re.IGNORECASE
)
# The last two letters of abbreviations: nearly every word that ends a sentence has others.
_ENDINGS = frozenset(["vs", "mr", "rs", "ms", "dr", "st", "tc", "ox"])
_SOFT = frozenset(",，、 ")


class Cut(Enum):
    """How a piece of text ends."""

    END = "end"
    """The sentence is over."""
    EARLY = "early"
    """More may come, but no word of it is unfinished."""
    FORCED = "forced"
    """It grew too long to wait for."""


@dataclass(slots=True)  # not frozen, as tokens are not: these are made all the time
class Sentence:
    """A sentence, or (for an early look) its beginning; `number` tells sentences apart.

    The looks at one sentence and its end begin with the same character.
    """

    text: str
    cut: Cut
    number: int


class SentenceReader:
    """Feed it pieces, get sentences. Holds at most one sentence, of 600 characters."""

    def __init__(self) -> None:
        self._buffer = ""
        self._scanned = 0
        self._looks = 0
        self._number = 0

    def feed(self, text: str) -> list[Sentence]:
        """The sentences and early looks that `text` completes."""
        found: list[Sentence] = []
        length = len(self._buffer) + len(text)
        if length < MAX_SENTENCE:  # nearly always, and nearly always there is no stop
            self._buffer += text
            match = _STOP.search(self._buffer, self._scanned)
            if match is not None:
                self._cut(found, match)
            elif length - 12 > self._scanned:
                self._scanned = length - 12
            return found
        # In steps, so that a megabyte without a full stop is never held at once.
        for start in range(0, len(text), MAX_SENTENCE):
            self._buffer += text[start : start + MAX_SENTENCE]
            self._cut(found, _STOP.search(self._buffer, self._scanned))
        return found

    def end(self) -> list[Sentence]:
        """What is left, as a sentence: nothing follows it."""
        found: list[Sentence] = []
        self._finish(found, len(self._buffer), Cut.END)
        return found

    def _cut(self, found: list[Sentence], match: re.Match[str] | None) -> None:
        while True:
            # The margin covers every look-ahead: a stop within the limit is seen before force is used.
            stop = match.end() if match else len(self._buffer) - 16
            if stop > MAX_SENTENCE:
                self._force(found)
                match = _STOP.search(self._buffer, self._scanned)
                continue
            if match is None:
                # Something at the very end may become a sign once the next character is known.
                self._scanned = max(self._scanned, len(self._buffer) - 12)
                return
            self._scanned = stop
            sign = match.group()
            if sign[0] in _SOFT:
                self._look(found, match.start())
            elif sign != "." or not self._abbreviated(stop - 1):
                self._finish(found, stop, Cut.END)
            match = _STOP.search(self._buffer, self._scanned)

    def _abbreviated(self, stop: int) -> bool:
        last = self._buffer[max(0, stop - 2) : stop]
        if len(last) > 1 and last.isalpha() and last.isascii() and last.lower() not in _ENDINGS:
            return False
        return _ABBREVIATED.search(self._buffer[max(0, stop - 12) : stop]) is not None

    def _look(self, found: list[Sentence], stop: int) -> None:
        if self._looks < MAX_LOOKS and stop > 8:
            self._looks += 1
            found.append(Sentence(self._buffer[:stop].lstrip(), Cut.EARLY, self._number))

    def _force(self, found: list[Sentence]) -> None:
        space = self._buffer.rfind(" ", 0, MAX_SENTENCE)
        self._finish(found, space if space > 0 else MAX_SENTENCE, Cut.FORCED)

    def _finish(self, found: list[Sentence], stop: int, cut: Cut) -> None:
        text = self._buffer[:stop].strip()
        self._buffer = self._buffer[stop:]
        self._scanned = 0
        self._looks = 0
        if text:
            found.append(Sentence(text, cut, self._number))
        self._number += 1
