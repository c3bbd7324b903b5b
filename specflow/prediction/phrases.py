"""Lists of phrases, looked for in a text: fast where none of their words occurs, which is nearly always."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set

from specflow.prediction.words import EASTERN, Token, runs, word_set

_COMMON = word_set("""
a an and are as at be do for have i in is it me my of on or so that the this to was we what will with you
""")

# What stands around a phrase: not "x@example.com" or "wait-list", either.
_BEFORE = re.compile(r"(?<![\w'@])")
_BEHIND = re.compile(r"(?![\w']|[.@-]\w)")


class Phrases:
    """Phrases between `|`, found as whole words; those of scripts without spaces are found anywhere.

    `words` has a word of each phrase, so that a text that has none of them has none of the phrases. Each
    method takes a lowered text and, where the caller has them, its `runs` (or those of a longer text).
    """

    __slots__ = ("_pattern", "by_first", "by_word", "words")

    def __init__(self, phrases: str) -> None:
        # Longest first; plain alternation of literals, so matching is linear.
        listed = sorted((p.strip() for p in phrases.split("|") if p.strip()), key=len, reverse=True)
        western = [phrase for phrase in listed if phrase[0] < EASTERN]
        eastern = [phrase for phrase in listed if phrase[0] >= EASTERN]
        self._pattern = re.compile(_plain(western) + "".join(f"|{re.escape(phrase)}" for phrase in eastern))
        firsts: dict[str, list[str]] = {}
        rarest: dict[str, list[str]] = {}
        for phrase in western:
            first = runs(phrase)[0]
            for word in {first, first.removesuffix("'s")}:  # tokens have lost the "'s" of "let's"
                firsts.setdefault(word, []).append(phrase)
            rarest.setdefault(max(runs(phrase), key=_rarity), []).append(phrase)
        self.by_first = {word: re.compile(_plain(begun)) for word, begun in firsts.items()}
        """For each word that a token may be, what matches the phrases that begin with it."""
        self.by_word = {word: (*having,) for word, having in rarest.items()}
        """For each of `words` the phrases that it is of."""
        self.words = frozenset(rarest.keys() | {EASTERN} if eastern else rarest)

    def search(self, low: str, heard: Set[str] | None = None) -> re.Match[str] | None:
        """The first phrase in the text."""
        if self.words.isdisjoint(runs(low) if heard is None else heard):
            return None
        return self._pattern.search(low)

    def finditer(self, low: str, heard: Set[str] | None = None) -> Iterator[re.Match[str]]:
        """Every phrase in the text, in order, without overlaps."""
        if self.words.isdisjoint(runs(low) if heard is None else heard):
            return iter(())
        return self._pattern.finditer(low)

    def within(self, low: str, heard: Set[str]) -> bool:
        """Whether any phrase is in the text, of which `heard` are the `runs` (not those of a longer one)."""
        said = self.words & heard
        if EASTERN in said:
            return self._pattern.search(low) is not None
        for word in said:
            for phrase in self.by_word[word]:
                at = low.find(phrase)
                while at >= 0:
                    if _BEFORE.match(low, at) and _BEHIND.match(low, at + len(phrase)):
                        return True
                    at = low.find(phrase, at + 1)
        return False


class Several:
    """Several lists of phrases, all looked for in one pass over a text's tokens.

    The first word of each phrase has to be a token: not "e.g".
    """

    __slots__ = ("_begun", "_by_word", "_lists", "words")

    def __init__(self, *lists: Phrases) -> None:
        self._lists = lists
        self.words = frozenset().union(*(one.words for one in lists))
        begun: dict[str, list[tuple[int, re.Pattern[str]]]] = {}
        for at, one in enumerate(lists):
            for word, pattern in one.by_first.items():
                begun.setdefault(word, []).append((at, pattern))
        self._by_word = {
            word: tuple(phrase for one in lists for phrase in one.by_word.get(word, ()))
            for word in self.words
        }
        self._begun = {word: (*patterns,) for word, patterns in begun.items()}

    def may_be_in(self, low: str, heard: Set[str]) -> bool:
        """False when the text, of which `heard` are the `runs`, has none of the phrases."""
        said = self.words & heard
        if EASTERN in said:
            return True
        for word in said:
            for phrase in self._by_word[word]:
                if phrase in low:
                    return True
        return False

    def among(self, low: str, heard: Set[str], words: Sequence[Token]) -> list[list[re.Match[str]]]:
        """Every phrase in the text, for each list in order and without overlaps."""
        if EASTERN in heard:
            return [list(one.finditer(low, heard)) for one in self._lists]
        found: list[list[re.Match[str]]] = [[] for _ in self._lists]
        if self.words.isdisjoint(heard):
            return found
        begun = self._begun
        for token in words:
            for at, pattern in begun.get(token.low, ()):
                if not found[at] or token.start >= found[at][-1].end():
                    match = pattern.match(low, token.start)
                    if match is not None:
                        found[at].append(match)
        return found


def _plain(phrases: Sequence[str]) -> str:
    return rf"{_BEFORE.pattern}(?:{'|'.join(map(re.escape, phrases))}){_BEHIND.pattern}"


def _rarity(word: str) -> tuple[bool, int, str]:
    return word not in _COMMON, len(word), word
