"""What early calls brought and what they cost, side by side: by tool, and by predictor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from specflow.effects.registry import ToolRegistry
from specflow.journal.event import CallEvent, EventKind
from specflow.policy.settings import Judge
from specflow.speculation.spending import price

ADOPTED = frozenset({"hit", "late"})


@dataclass(slots=True)
class Account:
    """Of early calls. `hidden_seconds` is tool time for which the real calls did not wait: of calls that run
    side by side it is more than what the run saved. `wasted_usd` is the price of the lost calls, and of
    undoing them.
    """

    launched: int = 0
    adopted: int = 0
    wasted_calls: int = 0
    hidden_seconds: float = 0.0
    wasted_seconds: float = 0.0
    wasted_usd: float = 0.0

    def include(self, other: Account) -> None:
        """Add another account to this one."""
        for item in fields(Account):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))

    def as_row(self) -> dict[str, Any]:
        """Seconds to the millisecond, money to a millionth of a dollar."""
        return {
            "launched": self.launched,
            "adopted": self.adopted,
            "wasted_calls": self.wasted_calls,
            "hidden_seconds": round(self.hidden_seconds, 3),
            "wasted_seconds": round(self.wasted_seconds, 3),
            "wasted_usd": round(self.wasted_usd, 6),
        }


@dataclass(slots=True)
class Accounts:
    """The same early calls, added up twice."""

    by_tool: dict[str, Account] = field(default_factory=lambda: defaultdict(Account))
    by_predictor: dict[str, Account] = field(default_factory=lambda: defaultdict(Account))

    def count(self, events: Iterable[CallEvent], judge: Judge, registry: ToolRegistry) -> None:
        """Count in what was launched and resolved in a run."""
        for event in events:
            if event.kind is EventKind.LAUNCHED:
                self._add(event, Account(launched=1))
            elif event.kind is EventKind.RESOLVED:
                self._add(event, _of(event, judge, registry))

    def include(self, other: Accounts) -> None:
        """Add the accounts of other runs."""
        for mine, theirs in ((self.by_tool, other.by_tool), (self.by_predictor, other.by_predictor)):
            for name, account in theirs.items():
                mine[name].include(account)

    def whole(self) -> Account:
        """All of it."""
        total = Account()
        for account in self.by_tool.values():
            total.include(account)
        return total

    def _add(self, event: CallEvent, account: Account) -> None:
        assert event.call is not None
        assert event.candidate is not None
        self.by_tool[event.call.tool].include(account)
        self.by_predictor[event.candidate.predictor].include(account)


def rows(accounts: dict[str, Account]) -> dict[str, dict[str, Any]]:
    """By name, the shape programs read."""
    return {name: account.as_row() for name, account in sorted(accounts.items())}


def _of(event: CallEvent, judge: Judge, registry: ToolRegistry) -> Account:
    if event.outcome in ADOPTED:
        return Account(adopted=1, hidden_seconds=float(event.facts.get("saved", 0.0)))
    assert event.call is not None
    writes = event.verdict is not None and event.verdict.effect.writes
    return Account(
        wasted_calls=1,
        wasted_seconds=float(event.facts.get("wasted", 0.0)),
        wasted_usd=price(judge.settings(registry.require(event.call.tool)), writes=writes),
    )
