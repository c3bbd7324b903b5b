"""Real traffic first: early reads give way to real calls, and to what the budget for held results allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from specflow.policy.settings import ToolSettings
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation, Stay
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session
from specflow.speculation.weigh import Weighed

HELD = frozenset({"max_branches", "max_result_bytes"})
"""Budgets for what is held until somebody asks for it."""


class Room:
    """Ends the early reads that are worth least, where something else needs their place."""

    def __init__(self, parts: Parts, retirer: Retirer) -> None:
        self._parts = parts
        self._retirer = retirer

    @contextmanager
    def for_real(self, session: Session, tool: str, settings: ToolSettings) -> Iterator[None]:
        """Around a real call. Where early work has used up the tool's limit, or the overall one, the least
        valuable early read is preempted; what is started early meanwhile finds that much less room.
        """
        most = settings.max_concurrent
        if most is not None and session.spending.busy(tool, ending=False) >= most:
            self._preempt(session, tool)
        elif session.spending.busy(ending=False) >= self._parts.judge.budgets.max_concurrent:
            self._preempt(session)
        with session.spending.real(tool):
            yield

    def _preempt(self, session: Session, tool: str = "") -> None:
        running = [item for item in session.pending if item.running and tool in ("", item.tool.name)]
        victim = least_valuable(running)
        if victim is not None:
            self._retirer.retire(session, victim, "preempted")

    def for_guess(self, session: Session, tool: str, weigh: Callable[[], Weighed]) -> Weighed:
        """What a guess of the tool weighs; what earlier runs have left gives way where it takes its room."""
        weighed = weigh()
        while weighed.cause == "budget" and weighed.facts.get("budget") in HELD:
            carried = [item for item in session.pending if item.stay is Stay.CARRIED]
            full = len(session.pending) >= self._parts.judge.budgets.max_branches
            bytes_short = weighed.facts.get("budget") == "max_result_bytes"
            its = [item for item in carried if full or bytes_short or item.tool.name == tool]
            victim = least_valuable(its)
            if victim is None:
                break
            self._retirer.retire(session, victim, "budget")
            weighed = weigh()
        return weighed

    def for_results(self, session: Session) -> None:
        """An early call has returned: let go of what is held beyond the budget."""
        most = self._parts.judge.budgets.max_result_bytes
        while sum(item.size for item in session.pending) > most:
            victim = least_valuable(item for item in session.pending if item.size)
            if victim is None:
                return
            self._retirer.retire(session, victim, "budget")


def least_valuable(items: Iterable[Speculation]) -> Speculation | None:
    """The early read that is worth least, the newest among equals; None where there is none to give up."""
    # INVARIANT: a write in flight is never given up for room, nor what somebody has asked for already.
    given = [item for item in items if not (item.writes or item.expected or item.waited_for)]
    return min(given, key=lambda item: (item.value, -item.started), default=None)
