"""Phrases are found as a plain search finds them; a sentence read in parts is the sentence read at once."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.prediction import language
from specflow.prediction.clause import Cut, Sentence
from specflow.prediction.phrases import Phrases, Several
from specflow.prediction.reading import Reading
from specflow.prediction.words import EASTERN, lowered, runs, tokens, word_set

LISTS = {name: value for name, value in vars(language).items() if isinstance(value, Phrases)}
WORDS = word_set("""
i i'll let me you if that wait no not never mind don't need to should could ich werde nicht je hvis
我需要 如果 不要 x@example.com wait-list e.g. (yes/no) action: next, OSL 5RJ7UH, 2026-12-12 'quoted'
İstanbul user's then . , ; ? ! - check
""")
TEXTS = st.lists(st.sampled_from(sorted(WORDS)), max_size=25).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(LISTS)), TEXTS)
def test_nothing_is_missed_for_the_sake_of_speed(name: str, text: str) -> None:
    low = lowered(text)
    phrases = LISTS[name]
    plain = [match.span() for match in phrases._pattern.finditer(low)]
    assert [match.span() for match in phrases.finditer(low)] == plain
    first = phrases.search(low, frozenset(runs(low)))
    assert (first.span() if first else None) == (plain[0] if plain else None)
    assert phrases.within(low, frozenset(runs(low))) is bool(plain)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["COMMIT", "MAY", "NEED"]), min_size=1, max_size=4), TEXTS)
def test_several_lists_at_once_are_each_alone(names: list[str], text: str) -> None:
    low, words = lowered(text), tokens(text)
    heard = frozenset(runs(low))
    lists = [LISTS[name] for name in names]
    several = Several(*lists)
    plain = [[match.span() for match in one._pattern.finditer(low)] for one in lists]
    starts = {token.start for token in words}
    # But where a phrase begins within a word.
    standing = [[span for span in spans if EASTERN in heard or span[0] in starts] for spans in plain]
    assert [[match.span() for match in found] for found in several.among(low, heard, words)] == standing
    assert several.may_be_in(low, heard) or not any(plain)


def test_a_phrase_is_no_part_of_a_word_an_address_or_a_compound() -> None:
    phrases = Phrases("wait|if you|e.g|等等")
    assert [m.group() for m in phrases.finditer("wait, if you like, e.g. 我等等")] == [
        "wait",
        "if you",
        "e.g",
        "等等",
    ]
    assert not list(phrases.finditer("await wait-list wait@example.com x@wait wait.com if yours"))


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 200), max_size=4))
def test_looks_at_a_sentence_add_up_to_the_sentence(text: str, places: list[int]) -> None:
    reading = Reading()
    spaces = [match.start() for match in re.finditer(" ", text)]
    for place in sorted(spaces[at % len(spaces)] for at in places if spaces):
        reading.take(Sentence(text[:place], Cut.EARLY, 1))
        if place % 3:  # most looks take less than everything
            reading.listen()
            reading.read()
    reading.take(Sentence(text, Cut.END, 1))
    reading.listen()
    reading.read()
    assert reading.words == tokens(text)
    assert reading.heard == set(runs(lowered(text)))
    assert len(reading.low) == len(text)
