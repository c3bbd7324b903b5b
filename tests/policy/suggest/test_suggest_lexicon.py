"""The lexicon is frozen, its tables agree with each other, and its words are found in every inflection."""

from __future__ import annotations

import pytest

from specflow.policy.suggest import lexicon
from specflow.policy.suggest.words import Form, Verb, split_name, verb


def test_frozen() -> None:
    # A change needs a new date, a new fingerprint and a new row in docs/how-to/suggest-a-policy.md.
    assert (lexicon.FROZEN, lexicon.fingerprint()) == ("2026-11-21", lexicon.FINGERPRINT)
    assert lexicon.FINGERPRINT == "a3692833c8c87e587aa5229b3603c693e92079172a448ab09fe639c8bcdac220"


def test_no_word_reads_and_writes() -> None:
    for table in (lexicon.WRITE, lexicon.NOUN_OR_VERB):
        assert not lexicon.READ & table
    assert not lexicon.WRITE & (lexicon.NOUN_OR_VERB | lexicon.WEAK_READ)


def test_every_act_of_a_pair_is_a_write() -> None:
    acts = lexicon.WRITE | lexicon.NOUN_OR_VERB
    assert set(lexicon.CREATORS) <= acts
    assert {undo for undos in lexicon.CREATORS.values() for undo in undos} <= acts
    assert {verb for pair in lexicon.SWITCHES for verb in pair} <= acts
    assert acts >= lexicon.IRREVERSIBLE


@pytest.mark.parametrize(
    ("word", "base", "form"),
    [
        ("get", "get", Form.BASE),
        ("creates", "create", Form.THIRD),
        ("fetches", "fetch", Form.THIRD),
        ("modifies", "modify", Form.THIRD),
        ("deleting", "delete", Form.ING),
        ("dropping", "drop", Form.ING),
        ("adding", "add", Form.ING),
        ("modified", "modify", Form.ED),
        ("cancelled", "cancel", Form.ED),
        ("updated", "update", Form.ED),
        ("sent", "send", Form.ED),
    ],
)
def test_inflections(word: str, base: str, form: Form) -> None:
    assert verb(word) == Verb(base, form)


@pytest.mark.parametrize("word", ["frobnicate", "ying", "ing", "bless", "dries", "", "ss"])
def test_words_it_does_not_know(word: str) -> None:
    assert verb(word) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("get_userById.v2", ["get", "user", "by", "id", "v", "2"]),
        ("HTTPGetURL", ["http", "get", "url"]),
        ("mcp__git__log", ["mcp", "git", "log"]),
        ("", []),
    ],
)
def test_names_are_split(name: str, words: list[str]) -> None:
    assert split_name(name) == words
    assert len(split_name("a_" * 1000)) == 40
