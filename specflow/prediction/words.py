# ruff: noqa: RUF001
# (the signs of many scripts are meant)
"""Words: tokens of a sentence, stems, and the words that a name such as `get_userDetails` is made of."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# Alternatives are disjoint in their first character or bounded, so matching never backtracks far.
_TOKEN = re.compile(
    r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w.])"
    rf"|[{_CJK}]"
    rf"|[^\s\"“”„«»「」`()\[\]{{}}<>,;:=|*…—–，。；：！？、{_CJK}]+"
    r"(?::\d+[^\s\"“”`()\[\]{}<>,;|*]*)?"
    r"|[\"“”„«»「」`=:;,()—–，；：、]"
)
_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_SUFFIXES = tuple("ations ation ings ing ies ied ion ed es en er ar s e y a o".split())  # noqa: SIM905 - reads better
EASTERN = "\u3000"
"""The first character of the scripts without spaces; stands for all of them among words."""
_EAST = re.compile(f"[{EASTERN}-\U0010ffff]")
_RUN = re.compile(r"[\w']+")
# For plain text the same, at a tenth of the time.
_GAPS = {code: " " for code in range(128) if not _RUN.fullmatch(chr(code))}
_LETTERS = re.compile(r"[^\W\d_]+")
_NO_LETTERS = {code: " " for code in range(128) if not _LETTERS.fullmatch(chr(code))}
_NO_PLURALS = ("ss", "us", "is", "ies", "ations", "ings", "es")
MAX_WORD = 128


class Token(NamedTuple):
    """A word, a number or a sign, with where it begins in its sentence."""

    text: str
    low: str
    start: int
    sign: bool = False

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)


def tokens(sentence: str, start: int = 0) -> list[Token]:
    """The tokens of a sentence from `start`, without closing punctuation and words over 128 characters."""
    found: list[Token] = []
    # There is one for every word that is heard: so the quick way to make a tuple, and to find its place. A
    # character begins a token wherever it stands or never, so that the next place with the text is the one.
    add, new, find = found.append, tuple.__new__, sentence.find
    for text in _TOKEN.findall(sentence, start):
        at = find(text, start)
        start = at + len(text)
        if text.isalnum():
            if len(text) <= MAX_WORD:
                add(new(Token, (text, text.lower(), at, False)))
        elif len(text) == 1 and text != "#":
            add(new(Token, (text, text, at, True)))
        else:
            spelt = text.replace("’", "'")
            bare = spelt.lstrip("'~-_/").rstrip(".!?'/~")
            if bare.endswith("'s"):
                bare = bare[:-2]
            if bare and len(bare) <= MAX_WORD:
                add(new(Token, (bare, bare.lower(), at + spelt.find(bare), False)))
    return found


def lowered(text: str) -> str:
    """The text in lower case with plain apostrophes, every character in its place."""
    low = text.lower()
    if len(low) != len(text):  # some capitals become two characters
        low = "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)
    return low.replace("\u2019", "'")


def runs(low: str, start: int = 0) -> list[str]:
    """The words of a lowered text from `start`, as the phrases of `language` are made of them.

    `EASTERN` is among them where the text has a character of a script without spaces.
    """
    new = low[start:]
    if new.isascii():
        return new.translate(_GAPS).split()
    found: list[str] = _RUN.findall(new)
    if _EAST.search(new):
        found.append(EASTERN)
    return found


def letters(low: str) -> list[str]:
    """The runs of letters in a lowered text: of `gift_card_90` two."""
    return low.translate(_NO_LETTERS).split() if low.isascii() else _LETTERS.findall(low)


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A crude stem, the same for the forms of a word in several languages; short words stay as they are."""
    plain = unicodedata.normalize("NFKD", word.lower())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    if plain.endswith("s") and len(plain) > 4 and not plain.endswith(_NO_PLURALS):
        plain = plain[:-1]  # first, so that "orders" fares as "order" does
    for suffix in _SUFFIXES:
        if plain.endswith(suffix) and len(plain) - len(suffix) >= 3:
            plain = plain[: -len(suffix)]
            break
    if len(plain) > 3 and plain[-1] == plain[-2]:
        plain = plain[:-1]
    return plain


@lru_cache(maxsize=8192)
def name_words(name: str) -> tuple[str, ...]:
    """The lower-case words of a name in snake, kebab, camel or mixed case, in order."""
    parts: list[str] = []
    for part in re.split(rf"([{_CJK}])|[\s_\-./]+", name[:200]):
        if part:
            parts.extend([part] if len(part) == 1 else (word.lower() for word in _NAME.findall(part)))
    return tuple(parts)


@lru_cache(maxsize=8192)
def name_stems(name: str) -> frozenset[str]:
    """The stems of a name's words."""
    return frozenset(map(stem, name_words(name)))


def word_set(text: str) -> frozenset[str]:
    """The words of a list written as text."""
    return frozenset(text.split())
