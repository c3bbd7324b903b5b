"""One logical run of an agent: its pending table, its writes, its lease on the journal."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.footprint import Keys
from specflow.errors import ConflictError, FencedError, SpecflowError
from specflow.execution.finish import finish
from specflow.execution.missed import Missed
from specflow.identity import IdSource
from specflow.journal.port import Journal
from specflow.journal.record import EffectRow, Lease
from specflow.probe import reach
from specflow.settlement.recover import settle_session, settle_taken, take_back
from specflow.settlement.rest import Settler
from specflow.speculation.branch import Grove
from specflow.speculation.conversation import Conversation, Names
from specflow.speculation.freshness import WriteLog, WriteSpan
from specflow.speculation.living import Living
from specflow.speculation.model_calls import ModelCalls
from specflow.speculation.orphans import Orphans
from specflow.speculation.parts import Mode
from specflow.speculation.pending import PendingTable, Speculation, Stay
from specflow.speculation.spending import Spending
from specflow.speculation.stuck import Stuck
from specflow.speculation.switched_off import SwitchedOff
from specflow.speculation.whole_run import WholeRun

log = logging.getLogger("specflow")

LAST_CALLS = 30.0
"""Seconds a session that is being closed waits for real calls in flight, before it is left to recovery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKey:
    """Who a session belongs to: `thread` is the conversation (empty when there is none), `run` tells
    runs without a thread apart. `anchor` is held on to: what `run` is the name of.
    """

    thread: str
    run: str = ""
    anchor: object = field(default=None, compare=False, repr=False)


class Session:
    """State of one run, on one event loop. Nothing in it is shared with another session."""

    def __init__(
        self,
        key: SessionKey,
        journal: Journal,
        settler: Settler,
        ids: IdSource,
        *,
        owner: str,
        tenant: str,
        mode: Mode,
        group: str,
        told: Callable[[WriteSpan, float], None] | None = None,
        living: Living,
        switched_off: SwitchedOff,
        missed: Missed,
        most_branches: int = 64,
        look: Callable[[Session], Awaitable[None]],
        now: Callable[[], float],
        before: Iterable[asyncio.Task[None]] = (),
    ) -> None:
        """Nothing is done until the ends of earlier sessions of the key (`before`) and a `look` are over."""
        self.key = key
        self.session_id = ids.new("ses")
        self.mode, self.group = mode, group
        self.pending, self.model_calls = PendingTable(), ModelCalls()
        self.claimed: set[Speculation] = set()
        self.grove = Grove(most=most_branches)
        self.writes = WriteLog(told)
        self.undoing: dict[asyncio.Task[None], Keys] = {}
        self.background: dict[asyncio.Task[Any], Keys] = {}
        """What nobody waits for; it ends with the session."""
        self.in_flight: list[Keys] = []
        self.stuck: dict[str, Stuck] = {}
        self.doubtful: dict[str, str] = {}
        """By fingerprint: the effect of a real call of which nobody knows whether it happened."""
        self.not_undone: list[Speculation] = []
        self.turns: weakref.WeakSet[object] = weakref.WeakSet()
        self.newest: dict[str, object] = {}
        """By lane: its newest model turn that has ended."""
        self.spending = Spending()
        self.used, self.line = 0.0, 0
        self.touched = False
        self.paused = self.closing = self.taking_back = False
        self.ended = self.completed = False
        self.lanes: dict[str, float] = {}
        """The agents at work in it, by lane: when the newest model turn of each began."""
        self.waiting: set[object] = set()
        """Questions to people that are open."""
        self.run_key = ""
        self.known: Conversation | None = None
        self.answered: set[str] = set()
        self.orphans = Orphans((), Names(()))
        self._calls = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._journal, self._settler = journal, settler
        self._owner, self._tenant = owner, tenant
        self._living, self._missed, self._look, self._now = living, missed, look, now
        self.switched_off, self.switches_read, self._before = switched_off, False, tuple(before)
        self._lease: Lease | None = None
        self._recovered, self._lock = False, asyncio.Lock()

    @property
    def opened(self) -> bool:
        """Whether the journal knows this session."""
        return self._lease is not None

    @property
    def busy(self) -> bool:
        """Whether a model is thinking or a real call is being answered in it."""
        return bool(self._calls or self.turns)

    @property
    def idle(self) -> bool:
        """Whether nothing goes on in it, and nothing of its own waits for its adoption."""
        own = any(item.stay is not Stay.CARRIED for item in self.pending)
        return not self.busy and not own and not self.waiting

    def enter(self) -> None:
        """A real call begins."""
        self.touched = True
        self._calls += 1
        self._quiet.clear()

    def leave(self) -> None:
        """A real call is answered."""
        self._calls -= 1
        if not self._calls:
            self._quiet.set()

    async def ready(self) -> None:
        """Recover what an earlier process left open in this conversation, before anything new is done."""
        if self._recovered:
            return
        async with self._lock:
            await self._recover()

    async def read_switches(self) -> None:
        """Ask the journal, before the first early write of the session, which tools are switched off."""
        if not self.switches_read:
            await self.switched_off.read()
            self.switches_read = True

    async def lease(self) -> Lease:
        """The lease on the journal's session, opened on first use."""
        if self._lease is None:
            async with self._lock:
                await self._recover()
                if self._lease is None:
                    # To its end: half opened, the session could be neither used nor opened again.
                    await finish(self._open())
        assert self._lease is not None
        return self._lease

    async def _open(self) -> None:
        await self._look(self)  # once more: from now on it is this session that a later one finds
        self._living.add(self.session_id)
        try:
            self._lease = await self._journal.open_session(
                self.session_id,
                thread=self.key.thread,
                owner=self._owner,
                tenant=self._tenant,
                run_key=self.run_key,
            )
        except Exception:
            self._living.drop(self.session_id)
            raise

    async def _recover(self) -> None:
        if self._recovered:
            return
        if self._before:
            await asyncio.wait(self._before)
            self._before = ()
        if self.key.thread:
            for row in await self._journal.active_sessions(self.key.thread):
                # Another tenant may well have a conversation of the same name.
                if row.tenant == self._tenant and not self._living.lives(row.session_id):
                    await self._take(row.session_id)
        await self._look(self)
        await self._run.must_stand()
        if self.run_key and self.known is not None:
            self.orphans = await self._run.orphans(self.known, self.orphans)
            self.doubtful = {**await self._run.doubtful(self.known), **self.doubtful}
        self._recovered = True

    def go_on(self, known: Conversation) -> None:
        """The run has been loaded once more: what it knows is looked at again before the next real call."""
        self.known, self._recovered = known, False

    async def _take(self, session_id: str) -> None:
        # The thread goes on here: whoever held it before is fenced off.
        taken = await self._journal.take_session(session_id, owner=self._owner, force=True)
        if taken is not None:
            self._living.drop(session_id)
            reach("recover.taken")
            with self.writes.during(None, self._now):
                await settle_taken(self._journal, self._settler, taken, cause="resumed", told=self._beware)

    def _beware(self, row: EffectRow) -> None:
        """INVARIANT: a real call never runs beside its own twin of which nobody knows whether it happened."""
        self.stuck[row.fingerprint] = Stuck(tool=row.tool, effect_id=row.effect_id)
        self.switched_off.tell(row.tool, row.effect_id)

    async def make_way(self, meets: Callable[[EffectRow], bool]) -> None:
        """Before a real write: take back what would write over it at the end of the run."""
        if self.orphans.meeting(meets):
            lease = await self.lease()
            await self.orphans.make_way(self._journal, self._settler, lease, self._beware, meets)

    async def close(self) -> None:
        """Wait for what is under way, bring everything to rest in the journal, close the session.

        With `taking_back` set, what it committed is undone as well; with `ended`, the orphans that the
        run never asked for.

        Raises:
            ConflictError: a real call does not end; the session is left to recovery.
            JournalError: the journal cannot be written; the same.
        """
        try:
            async with asyncio.timeout(LAST_CALLS):
                await self._quiet.wait()
        except TimeoutError as error:
            self._living.drop(self.session_id)
            raise ConflictError(
                f"session {self.session_id} still has a call in flight after {LAST_CALLS:g} s",
                hint="end the runs before the runtime; `specflow journal recover` settles the session",
                session_id=self.session_id,
            ) from error
        while self.undoing:
            await asyncio.wait(set(self.undoing))
        for task in self.background:
            task.cancel()
        await self.orphans.quiet()
        if self.ended and self.run_key and self.known is not None:
            await self.ready()  # a run that did nothing has not looked for them yet
        if self._lease is None and not (self.ended and len(self.orphans)) and not await self._owes():
            return
        lease = await self.lease()
        undoes = self.taking_back or (self.ended and len(self.orphans))
        try:
            with self.writes.during(None, self._now) if undoes else nullcontext():
                await self._settle(lease)
        except FencedError:
            log.debug("session %s goes on elsewhere and is settled there", self.session_id)
        except asyncio.CancelledError:
            raise  # the loop is ending: it stays on the list, for the next loop to take over
        except BaseException:
            self._living.drop(self.session_id)
            raise
        self._lease = None
        self._living.drop(self.session_id)

    @property
    def _run(self) -> WholeRun:
        thread, tenant = self.key.thread, self._tenant
        return WholeRun(journal=self._journal, thread=thread, run_key=self.run_key, tenant=tenant)

    async def _owes(self) -> bool:
        """Whether earlier sessions of the run have done something that is to be taken back with it."""
        if not self.taking_back:
            return False
        await self.ready()
        return await self._run.has_done()

    async def _settle(self, lease: Lease) -> None:
        await self._missed.catch_up(lease)
        trouble: SpecflowError | None = None
        if self.ended:
            try:
                await self.orphans.take_back(self._journal, self._settler, lease, self._beware)
            except FencedError:
                raise  # the run goes on elsewhere
            except SpecflowError as error:
                trouble = error  # which must not keep this session from being closed
        self.completed = not self.taking_back
        settle, cause = (settle_session, "run_ended") if self.completed else (take_back, "taken back")
        report = await settle(self._journal, self._settler, lease, cause=cause, told=self._beware)
        if report.waiting:
            # Nobody here comes back to it: an operator must be able to take it.
            await self._journal.release_session(lease)
        if trouble is not None:
            raise trouble
