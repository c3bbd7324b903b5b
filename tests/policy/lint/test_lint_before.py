"""What lint says about undos that write back what was there before."""

# ruff: noqa: E501 - tables of entries read best with a case per line

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy.lint import lint
from specflow.policy.load import survey
from specflow.policy.policy import Policy

GOOD = """
version: 1
tools:
  get_user: {effect: read_only}
  set_address:
    effect: compensatable
    speculate: now
    min_confidence: 0.9
    compensate:
      before: {tool: get_user, with: {user_id: args.user_id}}
      tool: set_address
      with: {user_id: args.user_id, street: before.address.street}
      tolerates_missing: true
"""
TEXT = {"type": "string"}
ADDRESS = {
    "type": "object",
    "properties": {"street": TEXT, "floor": {"type": "integer"}},
    "required": ["street"],
}


def spec(name: str, result: dict[str, Any] | None = None, **properties: Any) -> ToolSpec:
    shape = {"type": "object", "properties": properties, "required": sorted(properties)}
    return ToolSpec(name=name, parameters=shape, result=result)


def tools(**replaced: ToolSpec) -> ToolRegistry:
    found = {
        "get_user": spec(
            "get_user",
            {"type": "object", "properties": {"address": ADDRESS}, "required": ["address"]},
            user_id=TEXT,
        ),
        "set_address": spec("set_address", user_id=TEXT, street=TEXT),
        **replaced,
    }
    return ToolRegistry(found.values())


def found(text: str, registry: ToolRegistry | None) -> list[str]:
    loaded = survey(text, tools=registry)
    assert loaded.compiled is not None, loaded.findings
    policy = Policy(loaded.compiled, tools=registry)
    return [f"{item.code} {item.path}: {item.message}" for item in lint(policy, loaded.reads)]


@pytest.mark.parametrize("registry", [tools, lambda: None])
def test_a_tool_that_writes_back_is_clean(registry: Callable[[], ToolRegistry | None]) -> None:
    assert found(GOOD, registry()) == []


def test_a_circle_without_a_read_is_still_one() -> None:
    text = GOOD.replace("      before: {tool: get_user, with: {user_id: args.user_id}}\n", "")
    lines = found(text.replace("before.address.street", "args.street"), None)
    (line,) = [item for item in lines if "SF203" in item]
    assert line.startswith("SF203 tools.set_address.compensate.tool: set_address -> set_address")
    other = GOOD.replace("tool: set_address\n", "tool: other\n") + (
        "  other: {effect: compensatable, compensate: {tool: set_address, with: {user_id: result.id}}}\n"
    )
    assert [line.partition(":")[0] for line in found(other, None) if "SF203" in line] == [
        "SF203 tools.set_address.compensate.tool",
        "SF203 tools.other.compensate.tool",
    ]


def test_an_undo_that_names_what_was_there_is_not_a_second_effect() -> None:
    delta = GOOD.replace("before.address.street", "args.home").replace(
        "with: {user_id: args.user_id, street",
        "succeeded_when: before.x == 1\n      with: {user_id: args.user_id, street",
    )
    delta = delta.replace("tolerates_missing: true", "tolerates_missing: false")
    assert [line.partition(":")[0] for line in found(delta, None)] == [
        "SF310 tools.set_address.speculate",
        "SF204 tools.set_address.compensate",
    ]
    retried = GOOD.replace("tolerates_missing: true", "tolerates_missing: false").replace(
        "speculate: now", "speculate: now\n    retries: {max: 2}"
    )
    (line,) = [item for item in found(retried, None) if "SF310" not in item]
    assert line.startswith("SF204 tools.set_address.compensate: set_address is retried 2 times")


@pytest.mark.parametrize(
    ("old", "new", "registry", "line"),
    [
        (
            "with: {user_id: args.user_id}}\n",
            "with: {}}\n",
            tools(),
            "SF205 tools.set_address.compensate.before.with: get_user requires 'user_id', which is not mapped",
        ),
        (
            ", with: {user_id: args.user_id}}\n",
            "}\n",
            tools(get_user=spec("get_user", id=TEXT)),
            "SF205 tools.set_address.compensate.before: get_user requires 'id', and nothing of set_address is called so",
        ),
        (
            "with: {user_id: args.user_id}}\n",
            "with: {user_id: args.user_id, all: 'true'}}\n",
            tools(),
            "SF206 tools.set_address.compensate.before.with.all: get_user has no parameter 'all'",
        ),
        (
            "with: {user_id: args.user_id}}\n",
            "with: {user_id: args.usr_id}}\n",
            tools(),
            "SF206 tools.set_address.compensate.before.with.user_id: set_address has no argument 'usr_id'",
        ),
        (
            "before.address.street",
            "before.address.stret",
            tools(),
            "SF206 tools.set_address.compensate.with.street: get_user has no field in its result called 'address.stret' (did you mean 'street'?)",
        ),
        (
            "before.address.street",
            "string(before.address.floor)",
            tools(),
            "SF206 tools.set_address.compensate.with.street: before.address.floor is not always in the result of get_user: without it the call waits for the real run",
        ),
        (
            "before.address.street}",
            "before.address.street}\n      succeeded_when: result.x == before.nothing",
            tools(),
            "SF206 tools.set_address.compensate.succeeded_when: get_user has no field in its result called 'nothing'",
        ),
        (
            "before.address.street",
            "before.address",
            tools(),
            "SF207 tools.set_address.compensate.with.street: before.address is object, and set_address takes string",
        ),
        (
            "with: {user_id: args.user_id}}\n",
            "with: {user_id: '7'}}\n",
            tools(),
            "SF207 tools.set_address.compensate.before.with.user_id: 7 is integer, and get_user takes string",
        ),
        (
            "effect: read_only",
            "effect: read_only, redact: [result.address]",
            tools(),
            "SF208 tools.set_address.compensate.with: its undo needs before.address, which is redacted and so not stored (with SPECFLOW_JOURNAL_KEY set it would be, encrypted), so set_address never runs early",
        ),
        (
            "effect: read_only",
            "effect: read_only, speculate: never",
            None,
            "SF212 tools.set_address.compensate.before.tool: get_user reads what was there before set_address writes",
        ),
        (
            "  get_user: {effect: read_only}\n",
            "  get_usr: {effect: read_only}\n",
            None,
            "SF402 tools.set_address.compensate.before.tool: no entry is called 'get_user' (did you mean 'get_usr'?)",
        ),
    ],
)
def test_what_is_found(old: str, new: str, registry: ToolRegistry | None, line: str) -> None:
    assert GOOD.count(old) == 1
    lines = found(GOOD.replace(old, new), registry)
    assert any(item.startswith(line) for item in lines), lines


def test_a_read_may_be_given_what_is_redacted() -> None:
    """It is called at once, with the arguments of the real call: nothing has to be stored for it."""
    text = GOOD.replace("{user_id: args.user_id}}", "{user_id: args.secret}}").replace(
        "speculate: now", "speculate: now\n    redact: [args.secret]"
    )
    assert found(text, None) == []


def test_a_write_that_waits_may_have_a_read_that_waits() -> None:
    text = GOOD.replace("effect: read_only", "effect: read_only, speculate: hold").replace(
        "speculate: now\n    min_confidence: 0.9", "speculate: hold"
    )
    assert found(text, None) == []
