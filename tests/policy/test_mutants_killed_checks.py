"""Each of these fails for a small fault in checking a document that no other test noticed."""

from __future__ import annotations

import pytest

from specflow.effects.annotate import Annotation
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import PolicyError
from specflow.policy import loads
from specflow.policy.finding import Finding

HASH = "0" * 64
PUT = "{effect: compensatable, compensate: {tool: put, before: {tool: get, with: {}}, with: {a: before.a}}}"


def findings(tools: str, registry: ToolRegistry | None = None) -> list[Finding]:
    with pytest.raises(PolicyError) as caught:
        loads(f"version: 1\ntools:\n{tools}\n", tools=registry)
    return list(caught.value.facts["findings"])  # type: ignore[call-overload]  # facts are objects


def column(line: str, word: str) -> int:
    return line.index(word) + 1


def summary(found: list[Finding]) -> list[tuple[int, int, str, str]]:
    return [(item.line, item.column, item.path, item.code) for item in found]


def test_a_review_of_a_pattern_is_told_where_it_stands() -> None:
    line = f"  'p*': {{effect: read_only, reviewed: '{HASH}'}}"
    assert summary(findings(line)) == [(3, column(line, "'000"), "tools.p*.reviewed", "reviewed_pattern")]


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ("{compensate: {tool: gone, with: {}}}", "compensate.tool"),
        ("{verify: {tool: gone, with: {}}}", "verify.tool"),
        ("{patch: {tool: gone, fields: [a], with: {}}}", "patch.tool"),
        (
            "{compensate: {tool: t, before: {tool: gone, with: {}}, with: {a: before.a}}}",
            "compensate.before.tool",
        ),
    ],
)
def test_a_tool_that_is_not_there_is_told_where_it_is_named(entry: str, path: str) -> None:
    line = f"  t: {entry}"
    found = findings(line, ToolRegistry([ToolSpec(name="t")]))
    assert summary(found) == [(3, column(line, "gone"), f"tools.t.{path}", "unknown_tool")]


def test_a_value_from_before_that_nothing_reads_is_told_where_it_is_declared() -> None:
    line = "  t: {compensate: {tool: u, before: {tool: get, with: {}}, with: {a: args.a}}}"
    place = column(line, "{tool: get")
    assert summary(findings(line)) == [(3, place, "tools.t.compensate.before", "before")]


def test_a_write_that_is_to_be_read_first_is_told_where_it_is_named() -> None:
    line = f"  put: {PUT}"
    found = findings(f"  get: {{effect: compensatable}}\n{line}")
    assert summary(found) == [(4, column(line, "get"), "tools.put.compensate.before.tool", "before")]


@pytest.mark.parametrize("effects", [("compensatable", "deny"), ("deny", "compensatable")])
def test_the_strictest_of_what_is_said_about_a_read_is_told(effects: tuple[str, str]) -> None:
    found = findings(f"  get: {{effect: {effects[0]}}}\n  'g*': {{effect: {effects[1]}}}\n  put: {PUT}")
    assert [item.message for item in found] == [
        "'get' is deny; what reads the value from before must be read_only"
    ]


def test_every_read_of_a_file_is_looked_at() -> None:
    other = PUT.replace("get", "read")
    found = findings(
        f"  read: {{effect: read_only}}\n  get: {{effect: deny}}\n  a: {{}}\n  b: {other}\n  c: {PUT}"
    )
    assert [item.path for item in found] == ["tools.c.compensate.before.tool"]


def test_the_python_source_does_not_loosen_what_the_policy_says_of_a_read() -> None:
    get = ToolSpec(name="get", annotation=Annotation(effect=EffectClass.READ_ONLY))
    registry = ToolRegistry([get, ToolSpec(name="put")])
    found = findings(f"  get: {{effect: compensatable}}\n  put: {PUT}", registry)
    assert "'get' is compensatable" in found[0].message


def test_an_entry_that_does_not_class_a_read_says_nothing_about_it() -> None:
    assert loads(f"version: 1\ntools:\n  get: {{timeout: 1s}}\n  put: {PUT}\n")
