"""Prices and limits that keep what they are written for from ever happening."""

from __future__ import annotations

from specflow.policy.finding import Finding
from specflow.policy.lint import lint
from specflow.policy.load import survey
from specflow.policy.policy import Policy


def found(tools: str, defaults: str = "") -> list[Finding]:
    result = survey(f"version: 1\ndefaults: {{speculation: {{{defaults}}}}}\ntools:\n{tools}")
    policy = Policy(result.compiled)
    return [item for item in lint(policy, result.reads) if item.code in {"SF308", "SF309"}]


def test_a_price_above_all_that_could_be_saved() -> None:
    (finding,) = found("  t: {effect: read_only, limits: {cost_usd: 0.6}}\n")
    assert (finding.code, finding.path, finding.line) == ("SF308", "tools.t.limits.cost_usd", 4)
    assert "60 s at most, worth 0.6 USD" in finding.message
    assert found("  t: {effect: read_only, limits: {cost_usd: 0.59}}\n") == []
    assert found("  t: {effect: read_only, timeout: 30s, limits: {cost_usd: 0.31}}\n")
    assert found("  t: {effect: read_only, speculate: hold, limits: {cost_usd: 9}}\n") == []


def test_where_a_second_is_worth_nothing_even_what_is_free_never_pays() -> None:
    (finding,) = found("  t: {effect: read_only}\n", "usd_per_second: 0")
    assert (finding.code, finding.path) == ("SF308", "tools.t")
    (other,) = found("  t: {effect: read_only, limits: {max_branches: 2}}\n", "usd_per_second: 0")
    assert other.path == "tools.t"


def test_a_limit_above_that_over_all_tools() -> None:
    tools = "  t: {effect: read_only, limits: {max_concurrent: 5, max_branches: 64, max_per_minute: 601}}\n"
    assert [(item.code, item.path) for item in found(tools)] == [
        ("SF309", "tools.t.limits.max_concurrent"),
        ("SF309", "tools.t.limits.max_per_minute"),
    ]
    assert found("  t: {effect: read_only}\n") == []
