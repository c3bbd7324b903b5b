"""Lists of phrases, looked for in a text: fast where none of their words occurs, which is nearly always."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set

from specflow.prediction.words import EASTERN, Token, runs, word_set

_COMMON = word_set("""
a an and are as at be do for have i in is it me my of on or so that the this to was we what will with you
""")


class Phrases:
    """Phrases between `|`, found as whole words; those of scripts without spaces are found anywhere.

    `words` has a word of each phrase, so that a text that has none of them has none of the phrases. Each
    method takes a lowered text and, where the caller has them, its `runs` (or those of a longer text).
    """

    __slots__ = ("_firsts", "_pattern", "words")

    def __init__(self, phrases: str) -> None:
        # Longest first; plain alternation of literals, so matching is linear.
        listed = sorted((p.strip() for p in phrases.split("|") if p.strip()), key=len, reverse=True)
        western = [phrase for phrase in listed if phrase[0] < EASTERN]
        eastern = [phrase for phrase in listed if phrase[0] >= EASTERN]
        # Not within "x@example.com" or "wait-list", either.
        plain = rf"(?<![\w'@])(?:{'|'.join(map(re.escape, western))})(?![\w']|[.@-]\w)"
        self._pattern = re.compile(plain + "".join(f"|{re.escape(phrase)}" for phrase in eastern))
        first = [runs(phrase)[0] for phrase in western]
        # Tokens have lost the "'s" of "let's".
        self._firsts = frozenset(first) | {word.removesuffix("'s") for word in first}
        rarest = {max(runs(phrase), key=_rarity) for phrase in western}
        self.words = frozenset(rarest | {EASTERN} if eastern else rarest)

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

    def among(self, low: str, heard: Set[str], words: Sequence[Token]) -> Iterator[re.Match[str]]:
        """As `finditer`, where the text's tokens are known: the faster way to phrases of common words."""
        if EASTERN in heard:
            yield from self.finditer(low, heard)
        elif not self.words.isdisjoint(heard):
            end = 0
            for token in words:
                if token.low in self._firsts and token.start >= end:
                    match = self._pattern.match(low, token.start)
                    if match is not None:
                        end = match.end()
                        yield match


def _rarity(word: str) -> tuple[bool, int, str]:
    return word not in _COMMON, len(word), word
