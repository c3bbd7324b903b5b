"""What is rare in a comparison: broken schemas, budgets that end, policies that say the same differently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import Policy, loads
from specflow.policy.cel_scan import tokenise
from specflow.policy.condition import Cel
from specflow.policy.diff import compare
from specflow.policy.diff.atoms import _units
from specflow.policy.diff.calls import _outcome
from specflow.policy.diff.domain import Domain
from specflow.policy.diff.shrink import MOST_TRIALS, shrink

AMOUNT, NOTE = ("args", "amount"), ("args", "note")


def policy(body: str, tools: ToolRegistry | None = None) -> Policy:
    return loads(f"version: 1\n{body}\n", tools=tools)


def pay(rule: str = "") -> str:
    return f"tools:\n  pay:\n    effect: read_only\n{rule}"


def large(condition: str) -> str:
    return (
        f"    rules:\n      - id: large\n        when: {json.dumps(condition)}\n"
        "        require: {effect: confirmation_required}\n"
    )


def test_a_number_beyond_what_cel_holds_has_no_value() -> None:
    units = _units(tokenise("args.amount < 99999999999999999999999999"))
    assert [unit.value for unit in units if unit.kind == "literal"] == [None]


def test_a_call_that_is_no_json_decides_no_condition() -> None:
    condition = Cel("args.amount > 1", frozenset({"args"}))
    assert _outcome(condition, {AMOUNT: object()}) is None
    assert _outcome(condition, {AMOUNT: 2}) is True


def test_a_schema_that_refers_to_nowhere_hides_no_loosening() -> None:
    broken = ToolSpec(name="pay", parameters={"type": "object", "properties": {"amount": {"$ref": "#/gone"}}})
    tools = ToolRegistry([broken])
    old, new = pay(large("has(args.amount) && args.amount > 10")), pay()
    report = compare(policy(old, tools), policy(new, tools), tools=tools, calls=300)
    assert {item.kind for item in report.looser} >= {"early"}


def test_inline_tests_of_other_tools_are_not_calls_of_this_one() -> None:
    tests = (
        "tests:\n"
        "  - {name: mine, call: {tool: pay, args: {amount: 77}}, expect: {effect: read_only}}\n"
        "  - {name: another, call: {tool: see, args: {amount: 12345}}, expect: {effect: read_only}}\n"
    )
    see = "  see: {effect: read_only}\n"
    old, new = pay(large("has(args.amount) && args.amount == 77")) + see, pay() + see + tests
    report = compare(policy(old), policy(new), calls=300)
    assert [(item.tool, item.asked.call.plain_args()) for item in report.looser if item.kind == "early"] == [
        ("pay", {"amount": 77})
    ]


def test_a_condition_that_reads_all_arguments_at_once_is_tried_with_the_names_in_it() -> None:
    old, new = pay(large("size(args) > 3 || 'amount' in args || 7 in [1, 2]")), pay()
    report = compare(policy(old), policy(new), calls=300)
    found = [item.asked.call.plain_args() for item in report.looser if item.kind == "early"]
    assert any("amount" in args for args in found)


def test_destinations_said_in_other_words_are_the_same() -> None:
    one = '    destinations: {host: ["*.example", a.example]}\n'
    other = '    destinations: {host: ["*.example"]}\n'
    report = compare(policy(pay(one)), policy(pay(other)), calls=50)
    assert [change.setting for change in report.changes] == []


@pytest.mark.parametrize("tainted", [True, False])
def test_shrinking_stops_with_its_budget(tainted: bool) -> None:
    tried = 0

    def holds(chosen: dict[Any, Any], now: bool) -> bool:
        nonlocal tried
        tried += 1
        return chosen.get(AMOUNT) == "x" * 1000 and now is tainted

    domain = Domain(values={AMOUNT: tuple(f"{number:03}" for number in range(2 * MOST_TRIALS))}, unvaried=())
    chosen = {AMOUNT: "x" * 1000}
    assert shrink(chosen, domain, holds, tainted=tainted) == (chosen, tainted)
    assert tried == MOST_TRIALS + tainted


def test_shrinking_finds_the_plainest_value_and_needs_no_taint() -> None:
    domain = Domain(values={AMOUNT: ("x", "xx"), NOTE: ("n",)}, unvaried=())
    chosen = {AMOUNT: "xxx", NOTE: "nnn"}
    found = shrink(chosen, domain, lambda smaller, _: AMOUNT in smaller, tainted=True)
    assert found == ({AMOUNT: "x"}, False)


def test_what_cannot_be_smaller_stays() -> None:
    domain = Domain(values={AMOUNT: ("x", "xx")}, unvaried=())
    chosen = {AMOUNT: "xxx"}
    assert shrink(chosen, domain, lambda smaller, _: smaller == chosen, tainted=True) == (chosen, False)
