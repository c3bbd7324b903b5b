"""Two policies, one report: which calls the new one permits and the old one did not.

A search with a seed, so the same arguments give the same report; never a proof, except where both
policies mean the same for a tool.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator

from specflow.effects.registry import ToolRegistry
from specflow.policy.compiled import Plan, plain_entry
from specflow.policy.diff import settings
from specflow.policy.diff.calls import Chosen, Coverage, by_chance, directed, pairwise
from specflow.policy.diff.domain import Domain, conditions, domain
from specflow.policy.diff.looser import KINDS
from specflow.policy.diff.report import Change, Loosening, Report, Tried
from specflow.policy.diff.search import Search
from specflow.policy.policy import Policy

CALLS = 2_000
"""Calls tried per tool unless told otherwise."""
UNLISTED = "a_tool_that_neither_lists"


def compare(
    old: Policy,
    new: Policy,
    *,
    tools: ToolRegistry | None = None,
    calls: int = CALLS,
    seed: int = 0,
    tell: Callable[[str], None] = lambda _tool: None,
) -> Report:
    """What `new` permits that `old` did not, and the other way round.

    `calls` is how many different calls are tried for each tool. `tools` None: the tools that the policies
    name, with fields guessed from their conditions. `tell` is told each tool before it is looked at.
    """
    report_looser: list[Loosening] = []
    report_tighter: list[Loosening] = []
    changes: list[Change] = settings.of_defaults(old.compiled.defaults, new.compiled.defaults)
    tried: list[Tried] = []
    for name in names(old, new, tools):
        tell(name)
        tool = tools.get(name) if tools is not None else None
        one, other = (policy.plan(name, tool, registered=True) for policy in (old, new))
        search = Search(name, tool, one, other)
        changes += settings.of_tool(search.old, search.new)
        area = domain(tool, (search.old, search.new))
        if same(search.old, search.new):
            tried.append(Tried(tool=name, calls=0, fields=len(area.values), pairs=0, covered=0, same=True))
            continue
        dice = random.Random(f"{seed}/{name}")  # noqa: S311 - repeatable on purpose, guards nothing
        coverage = _look(search, area, dice, calls, _written(name, old, new))
        for kinds, report, tighter in (
            (search.looser, report_looser, False),
            (search.tighter, report_tighter, True),
        ):
            report += [
                search.smallest(kind, kinds[kind], area, tighter=tighter) for kind in KINDS if kind in kinds
            ]
        tried.append(
            Tried(
                tool=name,
                calls=search.tried,
                fields=len(area.values),
                pairs=coverage.pairs,
                covered=coverage.covered,
                same=False,
                unvaried=area.unvaried,
            )
        )
    return Report(
        old_hash=old.hash,
        new_hash=new.hash,
        looser=tuple(report_looser),
        tighter=tuple(report_tighter),
        changes=tuple(dict.fromkeys(changes)),
        tried=tuple(tried),
        not_proven=tuple(_not_proven(old, new, tools)),
    )


def names(old: Policy, new: Policy, tools: ToolRegistry | None) -> list[str]:
    """The tools to look at: the registered ones, else those that a policy or one of its tests names."""
    if tools is not None:
        return sorted(tool.name for tool in tools)
    found = {UNLISTED}
    for policy in (old, new):
        found |= set(policy.compiled.exact)
        found |= {entry.pattern.replace("*", "any") for _, entry in policy.compiled.wild}
        found |= {test.call.tool for _, test in policy.tests}
    return sorted(found)


def same(old: Plan, new: Plan) -> bool:
    """Whether both plans mean the same, so that no call can be judged differently."""
    return _meaning(old) == _meaning(new)


def _meaning(plan: Plan) -> object:
    entries = [plain_entry(entry) for entry in plan.entries]
    return (
        entries, plan.defaults, plan.annotation, plan.floor, plan.hinted, plan.predictors, plan.destinations,
        plan.no_undo, plan.redaction, plan.registered, _meaning(plan.before) if plan.before else None,
    )  # fmt: skip


def _written(name: str, *policies: Policy) -> list[Chosen]:
    """The calls of inline tests: what the authors themselves thought of."""
    found: list[Chosen] = []
    for policy in policies:
        for _, test in policy.tests:
            if test.call.tool == name:
                parts = {"args": test.call.args, "context": test.call.context}
                found.append(
                    {(root, key): value for root, held in parts.items() for key, value in held.items()}
                )
    return found


def _look(
    search: Search,
    area: Domain,
    dice: random.Random,
    calls: int,
    first: Iterable[Chosen],
) -> Coverage:
    """Try `calls` different calls, or as many as there are."""
    coverage = Coverage()
    several = conditions((search.old, search.new))
    pairs = pairwise(dice, area, coverage)
    for chosen in itertools.chain([{}], first, _budgeted(directed(dice, area, several), calls // 2), pairs):
        if search.tried >= calls:
            return coverage
        search.try_call(chosen, tainted=dice.random() < 0.1)
    # What is left is chance, and ends when it finds nothing new to try.
    for chosen in itertools.islice(by_chance(dice, area), 4 * calls):
        if search.tried >= calls:
            break
        search.try_call(chosen, tainted=dice.random() < 0.1)
    return coverage


def _budgeted(several: Iterator[Chosen], most: int) -> Iterator[Chosen]:
    return itertools.islice(several, max(most, 1))


def _not_proven(old: Policy, new: Policy, tools: ToolRegistry | None) -> Iterator[str]:
    yield "calls that were not tried; the search prefers constants of the conditions, boundaries and pairs"
    if tools is None:
        if old.compiled.wild or new.compiled.wild:
            yield "names that a pattern matches: each pattern was tried with one"
        yield "what annotations and schemas in the Python source say: name the tools with --tools"
        return
    listed = {*old.compiled.exact, *new.compiled.exact}
    missing = sorted(name for name in listed if name not in tools)
    if missing:
        yield f"tools that a policy names and nobody registers: {', '.join(missing[:20])}"
