"""Calls and fingerprints: equal for equal data, different for different data, never affected afterwards."""

from __future__ import annotations

import json
import math
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.call import Call, NotJsonError, canonical_json, digest

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(texts, json_values, max_size=5)


def shuffled(value: Any, draw: Any) -> Any:
    """The same data with the keys of its objects in another order."""
    if isinstance(value, dict):
        keys = draw(st.permutations(list(value)))
        return {key: shuffled(value[key], draw) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, draw) for item in value]
    return value


@given(objects, st.data())
def test_the_order_of_keys_does_not_matter(args: dict[str, Any], data: st.DataObject) -> None:
    again = shuffled(args, data.draw)
    assert Call(tool="t", args=args).fingerprint == Call(tool="t", args=again).fingerprint


@given(objects)
def test_canonical_json_is_json_and_stable(args: dict[str, Any]) -> None:
    text = canonical_json(args)
    assert canonical_json(json.loads(text)) == text


@given(objects, objects)
def test_different_data_has_different_fingerprints(one: dict[str, Any], other: dict[str, Any]) -> None:
    same_text = canonical_json(one) == canonical_json(other)
    assert (Call(tool="t", args=one) == Call(tool="t", args=other)) is same_text


@given(objects)
def test_a_call_survives_what_is_done_to_the_arguments_later(args: dict[str, Any]) -> None:
    call = Call(tool="t", args=args)
    before = call.fingerprint
    args["more"] = 1
    given_out = call.plain_args()
    given_out["even more"] = 2
    assert call.fingerprint == before
    assert "more" not in call.args
    assert "even more" not in call.args


class Word(str):
    """A text that says something else of itself than it holds."""

    def __str__(self) -> str:
        return "another"

    __repr__ = __str__


class Size(IntEnum):
    """A number with a name."""

    SMALL = 1


def derived(value: Any) -> Any:
    """The same data, of derived types where there are any."""
    if isinstance(value, dict):
        return MappingProxyType({Word(key): derived(item) for key, item in value.items()})
    if isinstance(value, list):
        return tuple(map(derived, value))
    if isinstance(value, str):
        return Word(value)
    return Size.SMALL if type(value) is int and value == 1 else value


def exact(value: Any) -> bool:
    """Whether that is plain data: nothing of it is of a derived type, and keys are in order."""
    if type(value) is dict:
        return (
            list(value) == sorted(value)
            and all(type(key) is str for key in value)
            and exact([*value.values()])
        )
    if type(value) is list:
        return all(map(exact, value))
    return type(value) in {str, int, float, bool, type(None)}


@given(objects, st.booleans())
def test_the_arguments_of_a_call_are_what_its_text_says(args: dict[str, Any], derive: bool) -> None:
    call = Call(tool="t", args=derived(args) if derive else args)
    said = json.loads(call.args_json)
    assert repr(dict(call.args)) == repr(said)
    assert exact(dict(call.args))
    written = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert call.args_json == written == canonical_json(args)


@given(st.lists(json_values, max_size=3))
def test_nothing_that_nests_is_shared_with_the_caller(items: list[Any]) -> None:
    inner: dict[str, Any] = {"items": items}
    call = Call(tool="t", args={"items": items, "more": inner})
    before = call.args_json
    items.append("later")
    inner["later"] = 1
    assert canonical_json(call.args) == before


def test_numbers_are_compared_as_json_has_them() -> None:
    assert Call(tool="t", args={"a": 1}) == Call(tool="t", args={"a": 1.0})
    assert Call(tool="t", args={"a": True}) != Call(tool="t", args={"a": 1})
    assert Call(tool="t", args={"a": "1"}) != Call(tool="t", args={"a": 1})
    assert Call(tool="t", args={"a": 2**60}) != Call(tool="t", args={"a": 2**60 + 1})


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, b"bytes", {1: 2}, {"a": {1}}, object(), "\ud800", {"\udfff": 1}],
    ids=["nan", "inf", "bytes", "integer key", "set", "object", "surrogate", "surrogate key"],
)
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(NotJsonError, match="not plain JSON"):
        Call(tool="t", args={"a": value})


def test_nesting_without_end_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(NotJsonError):
        Call(tool="t", args={"a": deep})
    looped: dict[str, Any] = {}
    looped["self"] = looped
    with pytest.raises(NotJsonError):
        Call(tool="t", args=looped)


@given(st.lists(st.text()), st.lists(st.text()))
def test_no_two_lists_of_parts_collide(one: list[str], other: list[str]) -> None:
    assert (digest(*one) == digest(*other)) is (one == other)


def test_a_call_is_a_value() -> None:
    call = Call(tool="t", args={"b": 1, "a": [1, 2]})
    assert repr(call) == 't({"a":[1,2],"b":1})'
    assert len({call, Call(tool="t", args={"a": [1, 2], "b": 1})}) == 1
    assert call != "t"
