"""The quick ways to words and tokens find what the patterns they stand for find."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from specflow.prediction.values import count_promising, find_values, may_hold_values
from specflow.prediction.words import (
    _LETTERS,
    _RUN,
    EASTERN,
    MAX_WORD,
    letters,
    lowered,
    runs,
    tokens,
    word_set,
)

PIECES = sorted(
    word_set("""
a I'll it's US A-10432 1,000 5RJ7UH x@y.z /a/b.c 2026-12-12 12:30 OSL Ada #W7 ... \u2019 日本 é ß İ ' " “ ” «
「 ` ( ) * | {
""")
)
SPACES = st.sampled_from([" ", "", "\n", "\t", "\x1c", "\u3000", ", ", ". "])
PROSE = st.lists(st.tuples(st.sampled_from(PIECES), SPACES), max_size=20).map(
    lambda parts: "".join(piece + space for piece, space in parts)
)
TEXTS = st.one_of(st.text(max_size=60), PROSE)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.integers(0, 6))
def test_runs_are_the_words_of_the_pattern(text: str, start: int) -> None:
    low = lowered(text)
    assert [word for word in runs(low, start) if word != EASTERN] == _RUN.findall(low, start)
    assert letters(low) == _LETTERS.findall(low)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.integers(0, 6))
def test_tokens_stand_where_they_say(text: str, start: int) -> None:
    end = 0
    for token in tokens(text, start):
        assert token.start >= max(start, end)
        assert text[token.start : token.end].replace("\u2019", "'") == token.text.replace("\u2019", "'")
        assert token.low == token.text.lower()
        assert 0 < len(token.text) <= MAX_WORD
        end = token.end


@settings(max_examples=400, deadline=None)
@given(PROSE)
@example("Ada I'llI'll ")
@example("US format is fine.")
def test_no_value_is_where_none_was_promised(text: str) -> None:
    found = find_values(tokens(text.strip()))
    assert len(found) <= count_promising(text.strip())
    assert may_hold_values(text.strip()) or not found
