"""Shapes of results from recorded runs: read as a stream, no value kept, nothing in a file can break it."""

from __future__ import annotations

import json
import lzma
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.errors import ConfigurationError
from specflow.policy.suggest import Subject, observed
from specflow.policy.suggest.examples import MAX_FIELDS, Seen


def run(*results: tuple[str, object], error: object = None) -> dict[str, Any]:
    """One run, in which each tool was called once, in a turn of its own."""
    turns: list[dict[str, Any]] = []
    for number, (name, content) in enumerate(results):
        turns.append({"role": "assistant", "tool_calls": [{"id": str(number), "name": name, "args": {}}]})
        turns.append({"tool_results": [{"id": str(number), "content": content, "error": error}]})
    return {"turns": turns}


def written(path: Path, *runs: Any) -> Path:
    text = "".join(json.dumps(item) + "\n" for item in runs)
    if path.suffix == ".xz":
        path.write_bytes(lzma.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.jsonl.xz"])
def test_shapes_of_results(tmp_path: Path, name: str) -> None:
    path = written(
        tmp_path / name,
        run(("get_user", '{"name": "a", "address": {"city": "b"}, "age": 1}'), ("say", "hello")),
        run(("get_user", {"name": "c", "address": {"city": None}})),
        run(("get_user", "no such user"), error=True),
    )
    found = observed.read(path)
    assert set(found) == {"get_user", "say"}
    assert found["say"] == observed.Observed(schema={"type": "string"}, count=1)
    assert found["get_user"].count == 2
    schema = found["get_user"].schema
    assert schema["required"] == ["address", "name"]
    assert schema["properties"]["address"]["properties"]["city"] == {"type": ["null", "string"]}
    # The file says "a" and "hello"; neither is kept.
    assert "hello" not in repr(found)


def test_messages_as_openai_writes_them(tmp_path: Path) -> None:
    said = {
        "messages": [
            {
                "role": "assistant",
                "tool_calls": [{"id": "1", "function": {"name": "get_x", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "[1, 2]"},
            {"role": "tool", "tool_call_id": "unknown", "content": "x"},
        ]
    }
    found = observed.read(written(tmp_path / "a.jsonl", said), written(tmp_path / "b.jsonl", said))
    assert found["get_x"].schema == {"type": "array", "items": {"type": "integer"}}
    assert found["get_x"].count == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"runs.jsonl:2: not JSON"),
        ("[" * 100_000, r"runs.jsonl:2: not JSON"),
        ("[]", r"runs.jsonl:2: not a run"),
        ('{"turns": 7}', r"runs.jsonl:2: not a run"),
        ("{}", r"runs.jsonl:2: not a run"),
    ],
)
def test_lines_that_are_no_runs(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(ConfigurationError, match=message):
        observed.read(path)


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        observed.read(tmp_path / "none.jsonl")
    (tmp_path / "bad.xz").write_bytes(b"no archive")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        observed.read(tmp_path / "bad.xz")
    whole = written(tmp_path / "cut.xz", run(("a", "b" * 1000))).read_bytes()
    (tmp_path / "cut.xz").write_bytes(whole[:-20])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        observed.read(tmp_path / "cut.xz")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        observed.read(tmp_path / "bytes.jsonl")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        observed.read(tmp_path / "pipe")
    monkeypatch.setattr(observed, "MAX_LINE", 10)
    with pytest.raises(ConfigurationError, match=r"long.jsonl:1: a run of 10 characters"):
        observed.read(written(tmp_path / "long.jsonl", run(("a", "b"))))


def test_what_is_hostile_in_a_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed, "MAX_TOOLS", 1)
    odd = {
        "turns": [
            7,
            {
                "tool_calls": [{"id": 1, "name": ["no name"]}, {"id": 2, "name": "a"}, "x"],
                "tool_results": "x",
            },
            {
                "tool_results": [
                    {"id": 2, "content": {}, "error": {"code": 1}},
                    {"id": 1, "content": "x"},
                    {"id": 2, "content": "[" * 5000},
                ]
            },
        ]
    }
    found = observed.read(written(tmp_path / "odd.jsonl", odd, run(("b", "too many tools"))))
    assert {name: item.schema for name, item in found.items()} == {"a": {"type": "string"}}


def test_whose_result_is_filled_in() -> None:
    seen = {"get_x": observed.Observed(schema={"type": "string"}, count=3)}
    shaped = observed.shaped(Subject(name="get_x"), seen)
    assert (shaped.result, shaped.results_seen) == ({"type": "string"}, 3)
    for left in (
        Subject(name="get_y"),
        Subject(name="get_x", result={"type": "integer"}),
        Subject(name="get_x", opaque_result=True),
    ):
        assert observed.shaped(left, seen) is left


def test_tables_by_key_have_no_fields() -> None:
    cards = Seen()
    cards.add({"card_1": 1})
    cards.add({"card_2": 2})
    assert cards.schema() == {"type": "object"}
    many = Seen()
    many.add({f"x{n}": n for n in range(MAX_FIELDS + 1)})
    many.add({"x0": 0})
    assert many.schema() == {"type": "object"}
    deep: Any = {}
    for _ in range(20):
        deep = {"a": [deep]}
    nested = Seen()
    nested.add(deep)
    assert "properties" in nested.schema()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(JSON, min_size=1, max_size=5))
def test_every_example_fits_the_schema_grown_from_it(values: list[Any]) -> None:
    seen = Seen()
    for value in values:
        seen.add(value)
    validator = jsonschema.Draft202012Validator(seen.schema())
    for value in values:
        validator.validate(value)
