# ruff: noqa: RUF001
# (the full stops of many scripts are meant)
"""The quick pattern of stops finds what the plain one finds; the quick look misses no abbreviation."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.prediction.clause import _ABBREVIATED, _STOP, Cut, SentenceReader

PLAIN = re.compile(
    r"[…。！？；\n;，、]|[.!?]{1,3}(?=[\s\"”'*)])|\.\.\.|,(?=\s)| [—–-]{1,3}(?= )"
    r"| (?=(?:to|so|because|since|before|which|while|then|using|via|but)\s)"
)
PIECES = st.sampled_from(
    [*".!?…。！？；\n;,，、 \"”'*)—–-ab1\t", " to ", " so ", " via", " tom ", " but ", "2.5", "...", " - "]
)
WORDS = st.sampled_from(
    [*"aKſxİ.( 1", "e.g", "vs", "Mrs", "ETC", "approx", "p.m", "state", "12", "days", "fox"]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=20).map("".join))
def test_stops_are_where_the_plain_pattern_has_them(text: str) -> None:
    assert [m.span() for m in _STOP.finditer(text)] == [m.span() for m in PLAIN.finditer(text)]


@settings(max_examples=500, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=8).map("".join))
def test_no_abbreviation_ends_a_sentence(text: str) -> None:
    reader = SentenceReader()
    reader._buffer = text
    whole = _ABBREVIATED.search(text[max(0, len(text) - 12) :]) is not None
    assert reader._abbreviated(len(text)) is whole


def test_an_abbreviation_goes_on_and_a_word_that_ends_like_one_does_not() -> None:
    reader = SentenceReader()
    said = reader.feed("Flights, e.g. to Oslo vs. Bergen at 5 p.m. are full. That is for Mr. Fox. ")
    assert [one.text for one in said if one.cut is Cut.END] == [
        "Flights, e.g. to Oslo vs. Bergen at 5 p.m. are full.",
        "That is for Mr. Fox.",
    ]
