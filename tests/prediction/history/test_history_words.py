"""Words by number: the same numbers in every process and version, since what was learned is kept by them."""

from __future__ import annotations

import zlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from specflow.prediction.history.words import BUCKETS, buckets


def number(text: str) -> int:
    return zlib.crc32(text.encode()) % BUCKETS


@given(st.lists(st.text(min_size=1, max_size=12), max_size=8))
def test_the_number_of_two_words_is_that_of_their_text(words: list[str]) -> None:
    singles, pairs = buckets(words)
    assert singles == [number(word) for word in words]
    assert pairs == [number(f"{one} {other}") for one, other in pairwise(words)]


def test_the_numbers_stay_what_they_are() -> None:
    assert buckets(["cancel", "order"]) == ([1394, 920], [304])
