"""Footprints: what overlaps, what does not, and that doubt means overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.footprint import keys, overlap

names = st.text(alphabet="abcXYZ019:-[]?", min_size=1, max_size=8)
key_sets = st.frozensets(names, max_size=4)


@given(key_sets)
def test_undeclared_overlaps_everything(some: frozenset[str]) -> None:
    assert overlap(None, some)
    assert overlap(some, None)
    assert overlap(None, None)


@given(key_sets, key_sets)
def test_plain_keys_overlap_exactly_when_they_share_one(one: frozenset[str], other: frozenset[str]) -> None:
    assert overlap(one, other) is bool(one & other)
    assert overlap(one, other) is overlap(other, one)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("seat:*", "seat:A1", True),
        ("seat:*", "order:A1", False),
        ("*", "anything", True),
        ("seat:*:x", "seat:7:x", True),
        ("seat:*:x", "seat:7:y", False),
        ("seat:*", "sea*", True),
        ("a*", "b*", False),
        ("seat:[1]", "seat:1", False),
        ("seat:?", "seat:1", False),
    ],
)
def test_stars(one: str, other: str, meet: bool) -> None:
    assert overlap(frozenset({one}), frozenset({other})) is meet
    assert overlap(frozenset({other}), frozenset({one})) is meet


@given(names, names)
def test_a_pattern_overlaps_what_it_could_stand_for(head: str, tail: str) -> None:
    assert overlap(frozenset({f"{head}*"}), frozenset({f"{head}{tail}"}))


def test_templates_are_filled_from_arguments_and_result() -> None:
    made = keys(["f:{args.a}-{args.b.c}", "r:{result.id}"], {"a": 1, "b": {"c": "x"}}, {"id": "9"})
    assert made == {"f:1-x", "r:9"}


def test_what_is_not_known_becomes_a_star() -> None:
    assert keys(["f:{args.a}", "r:{result.id}", "d:{args.b}"], {"b": {"deep": 1}}) == {"f:*", "r:*", "d:*"}
    assert keys(None, {}) is None
    assert keys([], {}) == frozenset()


@given(st.dictionaries(names, st.none() | st.integers() | st.lists(st.integers()) | names))
def test_filling_never_fails(args: dict[str, object]) -> None:
    made = keys(["k:{args.a}", "k:{args.b.c.d}", "k:{nonsense}", "k:{args..}"], args)
    assert made is not None
    assert len(made) >= 1
