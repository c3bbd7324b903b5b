"""Inline tests of policies, and the JSON Schema for editors."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from specflow.policy import inline, load, loads
from specflow.policy.read_document import fields_at
from specflow.policy.schema import json_schema

POLICIES = sorted((Path(__file__).parents[2] / "policies").glob("*.yaml"))
TEXT = """version: 1
tools: {a: {effect: read_only, rules: [{id: r, when: context.x == 1, require: {speculate: hold}}]}}
tests:
  - {name: holds, call: {tool: a, context: {x: 1}}, expect: {effect: read_only, speculate: hold, reasons: [r]}}
  - {name: fails, call: {tool: a, context: {x: 2}}, expect: {speculate: hold, confirm: host, min_confidence: 0.9, reasons: [r]}}
  - {name: tainted, call: {tool: a, context: {x: 2}, tainted: true}, expect: {speculate: hold, reasons: [tainted]}}
"""


def test_inline_tests_hold_or_say_what_came_instead() -> None:
    holds, fails, tainted = inline.run(loads(TEXT))
    assert holds.passed
    assert tainted.passed
    assert not fails.passed
    assert fails.where == "<text>:5:5"
    assert fails.failures == (
        "speculate: expected hold, got now",
        "confirm: expected host, got ask",
        "min_confidence: expected 0.9, got 0.6",
        "reasons: expected r, got declared, default",
    )


def test_a_call_that_is_no_call_fails() -> None:
    policy = loads(TEXT)
    where, test = policy.tests[0]
    broken = test.model_copy(update={"call": test.call.model_copy(update={"args": {"x": float("nan")}})})
    policy.tests = ((where, broken),)
    (result,) = inline.run(policy)
    assert result.verdict is None
    assert "not plain JSON" in result.failures[0]


@pytest.mark.parametrize("file", POLICIES, ids=lambda path: path.name)
def test_shipped_policies_hold_their_own_tests(file: Path) -> None:
    policy = load(file)
    results = inline.run(policy)
    assert results
    assert [result.failures for result in results if not result.passed] == []


def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", POLICIES, ids=lambda path: path.name)
def test_the_schema_accepts_the_shipped_policies(file: Path) -> None:
    assert list(validator().iter_errors(yaml.safe_load(file.read_text()))) == []


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"version": 2},
        {"version": 1, "toolz": {}},
        {"version": 1, "tools": {"a": {"effect": "maybe"}}},
        {"version": 1, "tools": {"a": {"timeout": "soon"}}},
        {"version": 1, "tools": {"a": {"rules": [{"id": "x"}]}}},
        {"version": 1, "tools": {"a": {"compensate": {"tool": "x", "with": {"a": 1}}}}},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(document: Any) -> None:
    assert list(validator().iter_errors(document))


def test_field_names_are_known_everywhere() -> None:
    assert "tools" in fields_at(())
    assert "with" in fields_at(("tools", "x", "compensate"))
    assert "unless" in fields_at(("tools", "x", "rules", 3))
    assert fields_at(("nowhere", "x")) == []
    assert fields_at(("version", "x")) == []
    assert fields_at(("trusted_mcp_servers",)) == []
    assert fields_at(("defaults", "redact", 0)) == []
