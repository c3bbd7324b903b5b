"""The incremental reader agrees with json.loads on any object cut anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.prediction.partial_json import ObjectReader

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=6), values, max_size=5)


def cut(text: str, at: list[int]) -> list[str]:
    places = sorted({min(place, len(text)) for place in at})
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def read(pieces: list[str]) -> ObjectReader:
    reader = ObjectReader()
    for piece in pieces:
        reader.feed(piece)
    return reader


@given(objects, st.lists(st.integers(0, 300), max_size=8), st.booleans(), st.sampled_from([None, 1]))
def test_equals_json_loads(data: dict[str, Any], at: list[int], ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(data, ensure_ascii=ascii_only, indent=indent)
    for pieces in (cut(text, at), [text], list(text)):
        reader = read(pieces)
        assert reader.closed
        assert not reader.broken
        assert reader.members == json.loads(text)


@given(objects, st.integers(0, 300))
def test_members_of_a_prefix_are_members_of_the_whole(data: dict[str, Any], at: int) -> None:
    text = json.dumps(data)
    reader = read([text[:at]])
    assert not reader.broken
    for key, value in reader.members.items():
        assert data[key] == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,}',
        '{"a":01 }',
        '{"a":1e }',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":tru}',
        '{"a":"\\x"}',
        '{"a":"\\u12g4"}',
        '{"a":"line\nfeed"}',
        '{"a" 1}',
        "{a:1}",
        '{"a":[1}',
        '{"a":1}x',
        '{"a":1}{}',
        '{,"a":1}',
        '{"a":[,1]}',
        '{"a":"b"c}',
    ],
)
def test_malformed_breaks_for_good(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(text.replace("NaN", "?").replace("Infinity", "?"))
    for pieces in ([text], list(text)):
        reader = read(pieces)
        assert reader.broken
        reader.feed('{"a":1}')
        assert reader.broken


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"\\ud83d\\ude00"}',
        '{"a":"\\ud83dx\\ude00"}',
        '{"a":"\\ud83d\\u0041"}',
        '{"a":"\\ud83d\\n"}',
        '{"a":"\\ud83d\\ud83d\\ude00"}',
        '{"a":"\\ud83d"}',
        '{"a":-0,"b":-0.0,"c":1E+2,"d":12345678901234567890}',
        '{"a":1,"a":[2],"a":{"b":3}}',
        ' \t{ "a" : [ ] , "b" : { } } \n',
        '{"a":"\\u0041","b":7}',
    ],
)
def test_corners_equal_json_loads(text: str) -> None:
    for pieces in ([text], list(text)):
        reader = read(pieces)
        assert reader.closed
        assert repr(reader.members) == repr(json.loads(text))


def test_only_an_object_will_do() -> None:
    assert read(["[]"]).broken
    assert read(['"a"']).broken


def test_a_number_is_closed_by_what_follows_it() -> None:
    reader = read(['{"a":1'])
    assert reader.members == {}
    reader.feed("2")
    assert reader.members == {}
    reader.feed(" ")
    assert reader.members == {"a": 12}


@pytest.mark.parametrize(
    "text", ["{" + '"a":[' + "[" * 500, '{"a":' + "9" * 5000, '{"a":"' + "x" * 1_000_001]
)
def test_hostile_sizes_break(text: str) -> None:
    assert read([text]).broken
    assert read([text[i : i + 1000] for i in range(0, len(text), 1000)]).broken
