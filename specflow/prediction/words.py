# ruff: noqa: RUF001
# (the signs of many scripts are meant)
"""Words: tokens of a sentence, stems, and the words that a name such as `get_userDetails` is made of."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

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
MAX_WORD = 128


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a number or a sign, with where it stands in its sentence."""

    text: str
    low: str
    start: int
    end: int
    sign: bool = False


def tokens(sentence: str) -> list[Token]:
    """The tokens of a sentence; closing punctuation is dropped, words over 128 characters too."""
    found = []
    for match in _TOKEN.finditer(sentence):
        text, start = match.group(), match.start()
        if len(text) == 1 and not (text.isalnum() or text == "#"):
            found.append(Token(text, text, start, match.end(), sign=True))
            continue
        text = text.replace("’", "'")
        bare = text.lstrip("'~-_/").rstrip(".!?'/~")
        if bare.endswith("'s"):
            bare = bare[:-2]
        if not bare or len(bare) > MAX_WORD:
            continue
        start += text.find(bare)
        found.append(Token(bare, bare.lower(), start, start + len(bare)))
    return found


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A crude stem, the same for the forms of a word in several languages; short words stay as they are."""
    plain = unicodedata.normalize("NFKD", word.lower())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
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


def word_set(text: str) -> frozenset[str]:
    """The words of a list written as text."""
    return frozenset(text.split())
