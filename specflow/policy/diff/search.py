"""One tool judged by two policies, call after call; what is found is kept by its most readable call."""

from __future__ import annotations

from dataclasses import dataclass, field

from specflow.effects.tool import ToolSpec
from specflow.policy.compiled import Plan
from specflow.policy.diff.calls import Asked, Chosen, asked
from specflow.policy.diff.domain import Domain
from specflow.policy.diff.looser import looser
from specflow.policy.diff.report import Loosening
from specflow.policy.diff.shrink import cost, shrink
from specflow.policy.judge import decide

_FIRST = 40
"""Calls looked at closely for each kind of loosening, to find one that is easy to read."""


@dataclass(slots=True)
class Found:
    """The most readable call for one kind so far."""

    rank: tuple[bool, bool, int, tuple[int, int, str]]
    chosen: Chosen
    tainted: bool
    seen: int = 1


@dataclass(slots=True)
class Search:
    """One tool under both policies."""

    name: str
    tool: ToolSpec | None
    old: Plan
    new: Plan
    tried: int = 0
    seen: set[str] = field(default_factory=set)
    looser: dict[str, Found] = field(default_factory=dict)
    tighter: dict[str, Found] = field(default_factory=dict)

    def try_call(self, chosen: Chosen, *, tainted: bool) -> None:
        """Judge one call by both; a call that was already judged does not count."""
        made = asked(self.name, chosen, tainted=tainted)
        key = f"{tainted} {made.call.args_json} {sorted(made.context.items(), key=repr)!r}" if made else ""
        if made is None or key in self.seen:
            return
        self.seen.add(key)
        self.tried += 1
        old, new = (
            decide(plan, made.call, context=made.context, tainted=tainted) for plan in (self.old, self.new)
        )
        for found, kinds in ((self.looser, looser(new, old)), (self.tighter, looser(old, new))):
            for kind in kinds:
                self._keep(found, kind, chosen, made)

    def _keep(self, found: dict[str, Found], kind: str, chosen: Chosen, made: Asked) -> None:
        best = found.get(kind)
        if best is not None:
            best.seen += 1
            if best.seen > _FIRST:
                return
        rank = (not self._fits(made), made.tainted, len(chosen), cost(made.call.plain_args()))
        if best is None:
            found[kind] = Found(rank, chosen, made.tainted)
        elif rank < best.rank:
            found[kind] = Found(rank, chosen, made.tainted, best.seen)

    def _fits(self, made: Asked) -> bool:
        return self.tool is None or not self.tool.problems(made.call.args)

    def smallest(self, kind: str, found: Found, area: Domain, *, tighter: bool = False) -> Loosening:
        """The loosening by its smallest call."""
        one, other = (self.new, self.old) if tighter else (self.old, self.new)
        must_fit = not found.rank[0]

        def holds(chosen: Chosen, tainted: bool) -> bool:
            made = asked(self.name, chosen, tainted=tainted)
            if made is None or (must_fit and not self._fits(made)):
                return False
            before, after = (
                decide(plan, made.call, context=made.context, tainted=tainted) for plan in (one, other)
            )
            return kind in looser(after, before)

        chosen, tainted = shrink(found.chosen, area, holds, tainted=found.tainted)
        made = asked(self.name, chosen, tainted=tainted)
        assert made is not None  # `holds` is true of it
        return Loosening(
            tool=self.name,
            kind=kind,
            asked=made,
            old=decide(self.old, made.call, context=made.context, tainted=tainted),
            new=decide(self.new, made.call, context=made.context, tainted=tainted),
            fits=None if self.tool is None else self._fits(made),
        )
