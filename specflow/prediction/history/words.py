"""Words of a text, lower-case, without those that say nothing; and the few numbers that stand for them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

BUCKETS = 2_048
"""Words are learned by number only: thousands of words of a language share each number."""

_WORD = re.compile(r"[^\W\d_]{2,24}")
_SILENT = frozenset(
    """the an and or of to for in on at is are was were be been am it its this that these those with from by
    as my your our you me we us he she they them his her their have has had do does did can could would will
    please like want need just also so if not but there here what which when where how any some all
    one id ok okay yes no thanks thank hi hello""".split()  # noqa: SIM905 - reads better
)


@lru_cache(maxsize=4_096)
def all_words(text: str) -> tuple[str, ...]:
    """The words in order, lower-case."""
    return tuple(_WORD.findall(text.lower()))


@lru_cache(maxsize=16_384)
def plain_words(text: str) -> frozenset[str]:
    """The words that tell something, in the singular."""
    return frozenset(places_of(all_words(text)))


def places_of(words: Sequence[str]) -> dict[str, int]:
    """Where each of the words that tell something comes first."""
    found: dict[str, int] = {}
    for at, word in enumerate(words):
        if word not in _SILENT:
            found.setdefault(word.removesuffix("s") if len(word) > 3 else word, at)
    return found


@lru_cache(maxsize=65_536)
def _sums(word: str) -> tuple[int, bytes]:
    """The checksum of a word, and what the word adds to that of the one before it."""
    return zlib.crc32(word.encode()), f" {word}".encode()


def buckets(words: Sequence[str]) -> tuple[list[int], list[int]]:
    """The numbers of the words, and those of every two that follow each other; many others have the same."""
    sums = [_sums(word) for word in words]
    pairs = [zlib.crc32(more, first) % BUCKETS for (first, _), (_, more) in pairwise(sums)]
    return [first % BUCKETS for first, _ in sums], pairs
