"""What a policy costs: loading many tools, and one decision with many rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import yaml

from specflow.bench.effort import Effort
from specflow.bench.other_engines import cedar, cel_python
from specflow.bench.paired import Measure, in_turn, paired
from specflow.bench.row import Row, row, skipped
from specflow.effects.call import Call
from specflow.effects.tool import ToolSpec
from specflow.policy.load import loads

BENCH = "policy"
RULES = 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def rows(effort: Effort) -> Iterator[Row]:
    """Loading beside a bare YAML parser; a decision with rules beside one without."""
    count = effort.size(2_000, 100)
    effort.tell(f"policy: {count} tools")
    for case, text in (
        (f"load {count} tools, a line each", short_text(count)),
        (f"load {count} tools with undo, rules and footprints", policy_text(count)),
    ):
        yield _row(
            effort.pairs(7),
            case,
            "ms",
            {"baseline": _timed(partial(_parse, text), 1, 1e3), "ours": _timed(partial(loads, text), 1, 1e3)},
            "baseline: yaml.load of the same text, without understanding it",
        )
    effort.tell("policy: one decision")
    policy = loads(rules_text(RULES))
    call = {"order_id": "A-10432", "amount": 12.5, "reason": "late"}
    plain, ruled = (ToolSpec(name=name) for name in ("plain", "ruled"))
    context = {"tenant": "shop", "user": {"role": "clerk", "level": 3}}

    def judged(tool: ToolSpec) -> Callable[[], object]:
        made = Call(tool=tool.name, args=call)
        return lambda: policy.judge(tool, made, context=context)

    times = effort.size(2_000, 100)
    yield _row(
        effort.pairs(15),
        f"one decision with {RULES} rules",
        "us",
        {"baseline": _timed(judged(plain), times, 1e6), "ours": _timed(judged(ruled), times, 1e6)},
        "baseline: the same decision about a tool without rules",
    )
    for name, make in (("Cedar", cedar), ("cel-python", cel_python)):
        case = f"one decision with {RULES} rules, beside {name}"
        try:
            theirs = make()
        except ImportError as error:
            yield skipped(BENCH, case, "time", "us", f"{error.name} is not installed")
            continue
        yield _row(
            effort.pairs(9),
            case,
            "us",
            {
                "baseline": _timed(theirs, effort.size(200, 10), 1e6),
                "ours": _timed(judged(ruled), times, 1e6),
            },
            f"baseline: the same conditions in {name}",
        )


def _row(rounds: int, case: str, unit: str, variants: dict[str, Measure], note: str) -> Row:
    measured = asyncio.run(in_turn(variants, rounds=rounds))
    found = paired(measured["ours"], measured["baseline"])
    return row(BENCH, case, "time", unit, found, note=note)


def _timed(work: Callable[[], Any], times: int, scale: float) -> Measure:
    async def measure() -> float:
        started = perf_counter()
        for _ in range(times):
            work()
        return scale * (perf_counter() - started) / times

    return measure


def _parse(text: str) -> object:
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader


def short_text(count: int) -> str:
    """A policy that says one thing about each of `count` tools."""
    kinds = ("read_only, speculate: now", "confirmation_required", "read_only", "deny")
    entries = [f"  tool_{number}: {{effect: {kinds[number % 4]}}}" for number in range(count)]
    return "\n".join(["version: 1", "tools:", *entries]) + "\n"


def policy_text(count: int) -> str:
    """A policy of `count` tools: half reads, a quarter with a condition, a quarter undone by another."""
    lines = ["version: 1", "tools:"]
    for number in range(count):
        match number % 4:
            case 0 | 1:
                entry = f"""{{effect: read_only, speculate: now, reads: ["thing:{{args.id}}:{number}"]}}"""
                lines.append(f"  get_{number}: {entry}")
            case 2:
                lines += [
                    f"  set_{number}:",
                    "    effect: compensatable",
                    "    speculate: now",
                    "    idempotency_key: request_id",
                    f"""    writes: ["thing:{{args.id}}:{number}"]""",
                    "    compensate:",
                    f"      tool: unset_{number + 1}",
                    "      with: {request_id: key}",
                    "      tolerates_missing: true",
                ]
            case _:
                lines += [
                    f"  unset_{number}:",
                    "    effect: confirmation_required",
                    f"    compensator_for: [set_{number - 1}]",
                    "    rules:",
                    f"      - {{id: large, when: args.amount > {number}, require: {{effect: deny}}}}",
                ]
    return "\n".join(lines) + "\n"


def rules_text(count: int) -> str:
    """A policy of two tools that differ only in `count` rules, none of which holds."""
    lines = ["version: 1", "tools:", "  plain: {effect: read_only, speculate: now}"]
    lines += ["  ruled:", "    effect: read_only", "    speculate: now", "    rules:"]
    conditions = (
        "args.amount > {0}",
        'args.reason == "r{0}"',
        'context.tenant == "t{0}"',
        "args.amount < -{0}",
    )
    for number in range(count):
        condition = conditions[number % len(conditions)].format(100 + number)
        lines += [
            f"      - id: rule-{number}",
            f"        when: {condition}",
            "        require: {speculate: hold}",
        ]
    return "\n".join(lines) + "\n"
