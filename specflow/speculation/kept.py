"""KEPT: early reads that outlive the run they were started in, for later runs of the same conversation.

An agent reads an order while it thinks about its answer, answers, and wants it in the next run: the guess
was right, and only too early. Where the policy says that a result is good for longer than the run (a
`cache` whose `scope` goes beyond the `session`), what was not asked for, running or finished, waits here
for the next run.

# INVARIANT: nothing is kept but reads that could be shared at all (see `shelf`), none beyond its `ttl`,
# none for somebody with other context variables, none in a conversation that another process has had since.
# What is carried into a run meets the same checks there as what the run has started itself.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict
from dataclasses import dataclass

from specflow.journal.event import EventKind, Outcomes
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.pending import Speculation, Standing, Stay
from specflow.speculation.retire import Retirer
from specflow.speculation.room import Room
from specflow.speculation.session import Session, SessionKey
from specflow.speculation.shelf import MOST_BYTES, UNKNOWN, outlives, same_context
from specflow.speculation.tell import Teller, misfire_in

ORDERLY = frozenset({"run_ended", "superseded", "paused", "idle"})
"""How a run ends of which something may be kept."""

EXPIRED = "expired"
"""The cause of an end by age."""

ELSEWHERE = "elsewhere"
"""That of one because another process has had the conversation."""

LOOP_ENDED = "loop_ended"
"""That of one because the event loop has ended that it was on."""

MOST = 1_024
"""Reads that are kept, over all conversations; the oldest goes first."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Read:
    """A kept read; `session` is that of the run which has ended, `context` the one that it runs in."""

    speculation: Speculation
    session: Session
    context: contextvars.Context
    timer: asyncio.TimerHandle


class Kept:
    """What the conversations of one event loop have left for their next runs."""

    def __init__(self, parts: Parts, tell: Teller, retirer: Retirer) -> None:
        self._parts, self._tell, self._retirer = parts, tell, retirer
        self._room = Room(parts, retirer)
        self._reads: OrderedDict[Speculation, _Read] = OrderedDict()
        self._of: dict[SessionKey, list[Speculation]] = {}

    def __len__(self) -> int:
        return len(self._reads)

    def keep(self, session: Session, cause: str, lane: str | None = None) -> None:
        """A run ends like that, or an agent in it: what may be kept leaves its table, and lives on here."""
        if cause not in ORDERLY or not session.key.thread:
            return
        now, running = self._parts.clock.monotonic(), self._running(session.key)
        for speculation in session.pending:
            ttl, context = speculation.settings.ttl, speculation.spawn
            other = lane is not None and speculation.lane != lane
            if other or ttl is None or context is None or not self._may(session, speculation):
                continue
            left = ttl - (now - speculation.started)
            running += speculation.running
            if left > 0 and not (speculation.running and running > self._parts.judge.budgets.max_concurrent):
                # By the last message of its run: until it is carried into another, none comes after that.
                speculation.misfire = misfire_in(session, speculation, cause)
                self._keep(session, speculation, context, left)
        self._bound()

    def give(self, session: Session, lane: str, context: contextvars.Context) -> None:
        """A model turn begins: what earlier runs of the conversation have left is the session's now."""
        if session.mode is not Mode.ON or session.closing:
            return
        for speculation in tuple(self._of.get(session.key, ())):
            read = self._reads[speculation]
            if same_context(read.context, context):
                self._forget(speculation)
                speculation.lane, speculation.stay = lane, Stay.CARRIED
                session.pending.register(speculation)
                session.spending.inherit(speculation)
                self._tell.of(EventKind.CARRIED, session, speculation)
        self._room.for_results(session)

    async def look(self, session: Session) -> None:
        """Before anything is done in a run: what was kept is lost where another process went on with the
        conversation, and may have changed what was read.
        """
        key, parts = session.key, self._parts
        carried = [item for item in session.pending if item.stay is Stay.CARRIED]
        if not key.thread or not (carried or key in self._of or self._lasting()):
            return
        newest = await parts.journal.newest_session(key.thread, tenant=parts.tenant)
        last = "" if newest is None else newest.session_id
        line = parts.shelf.follow(key.thread, parts.tenant, newest=last, session_id=session.session_id)
        session.line = line
        for speculation in tuple(self._of.get(key, ())):
            if speculation.line not in {UNKNOWN, line}:
                self._lose(speculation, ELSEWHERE)
        for speculation in session.pending:
            if speculation.stay is Stay.CARRIED and speculation.line not in {UNKNOWN, line}:
                self._retirer.retire(session, speculation, ELSEWHERE)

    def end(self, cause: str) -> None:
        """No run will come any more."""
        for speculation in tuple(self._reads):
            self._lose(speculation, cause)

    def abandon(self) -> None:
        """The event loop has ended, and with it what still runs."""
        for speculation in tuple(self._reads):
            read = self._forget(speculation)
            speculation.standing = Standing.RETIRED
            speculation.decided.set()
            read.session.spending.stop()
            outcome = Outcomes.HIT if speculation.answered else Outcomes.CANCELLED
            self._tell.resolved(read.session, speculation, outcome, LOOP_ENDED)

    def _may(self, session: Session, speculation: Speculation) -> bool:
        """Whether it may outlive its run, and is worth it."""
        # A run that did nothing has not looked: the next one will. A read that waits for that is not begun.
        unlooked = speculation.line == UNKNOWN or (not session.line and speculation.stay is Stay.CARRIED)
        ours = unlooked or speculation.line == session.line
        usable = not speculation.needs and not speculation.came_to_nothing
        return ours and usable and outlives(speculation)

    def _keep(
        self, session: Session, speculation: Speculation, context: contextvars.Context, left: float
    ) -> None:
        session.pending.release(speculation)
        while speculation.homes:
            # The hypotheses end with the run. What it says does not depend on them.
            speculation.homes.pop().disown(speculation)
        speculation.stay, speculation.expected = Stay.KEPT, False
        timer = asyncio.get_running_loop().call_later(left, self._lose, speculation, EXPIRED)
        self._reads[speculation] = _Read(
            speculation=speculation, session=session, context=context, timer=timer
        )
        self._of.setdefault(session.key, []).append(speculation)
        self._tell.of(EventKind.KEPT, session, speculation)
        if speculation.running and speculation.work is not None:
            speculation.work.add_done_callback(lambda _done: self._returned(speculation))

    def _returned(self, speculation: Speculation) -> None:
        """It is over: of no use, or more to hold."""
        if speculation in self._reads and speculation.came_to_nothing:
            self._lose(speculation, "failed")
        self._bound()

    def _running(self, key: SessionKey) -> int:
        return sum(speculation.running for speculation in self._of.get(key, ()))

    def _bound(self) -> None:
        while len(self._reads) > MOST or self._held() > MOST_BYTES:
            oldest = next(iter(self._reads))
            self._parts.shelf.withdraw(oldest)
            self._lose(oldest, "budget")

    def _held(self) -> int:
        return sum(speculation.size for speculation in self._reads)

    def _forget(self, speculation: Speculation) -> _Read:
        read = self._reads.pop(speculation)
        read.timer.cancel()
        of = self._of[read.session.key]
        of.remove(speculation)
        if not of:
            del self._of[read.session.key]
        return read

    def _lose(self, speculation: Speculation, cause: str) -> None:
        read = self._forget(speculation)
        speculation.standing = Standing.RETIRED
        self._retirer.dispose(read.session, speculation, cause)

    def _lasting(self) -> bool:
        """Whether the policy lets anything outlive its run."""
        return any(self._parts.judge.settings(tool).outlives_run for tool in self._parts.registry)
