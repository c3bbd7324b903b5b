"""The sessions of one coordinator: made on first use, closed once, let go of when nobody comes back."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import weakref
from collections import OrderedDict
from collections.abc import Iterable

from specflow.errors import ClaimedError, SpecflowError
from specflow.journal.event import EventKind
from specflow.settlement.recover import settle_taken
from specflow.speculation.conversation import Continued, Conversation, Known, conversation_of
from specflow.speculation.kept import Kept
from specflow.speculation.model_calls import ModelCalls
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Stay
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session, SessionKey
from specflow.speculation.switched_off import SwitchedOff
from specflow.speculation.tell import Teller

log = logging.getLogger("specflow")

IDLE = 300.0
"""Seconds after which a session in which nothing goes on is closed; its conversation opens another one."""

MOST_RUNS = 10_000
"""Runs without a session of which it is remembered that they may go on."""


class Sessions:
    """Knows which session is open for a key, and sees every one of them closed."""

    def __init__(self, parts: Parts, tell: Teller, retirer: Retirer) -> None:
        self._parts = parts
        self._tell = tell
        self._retirer = retirer
        self._open: OrderedDict[SessionKey, Session] = OrderedDict()
        self._closing: dict[Session, asyncio.Task[None]] = {}
        self._orphans: set[asyncio.Task[None]] = set()
        self._runs: OrderedDict[SessionKey, tuple[str, Conversation | None]] = OrderedDict()
        self._switched_off = SwitchedOff(parts.journal, parts.tenant)
        self._kept = Kept(parts, tell, retirer)

    def get(self, key: SessionKey) -> Session:
        """The session of that key, made when there is none."""
        session = self._open.get(key)
        if session is None:
            self._sweep()
            session = self._open[key] = self._make(key)
            session.run_key, session.known = self._runs.pop(key, ("", None))
        self._open.move_to_end(key)
        session.used = self._parts.clock.monotonic()
        return session

    def _make(self, key: SessionKey) -> Session:
        parts, tell = self._parts, self._tell
        session = Session(
            key,
            parts.journal,
            parts.settler,
            parts.ids,
            owner=parts.owner,
            tenant=parts.tenant,
            mode=parts.mode_of(key.thread, key.run),
            group=parts.group_of(key.thread, key.run),
            told=parts.shelf.begin,
            living=parts.living,
            switched_off=self._switched_off,
            missed=parts.door.missed,
            most_branches=parts.lookahead.branches,
            look=self._kept.look,
            now=parts.clock.monotonic,
            before=[task for other, task in self._closing.items() if other.key == key],
        )
        # Not the session itself: what it holds must not keep it alive.
        known = weakref.ref(session)
        calls = session.model_calls = ModelCalls(parts.clock.monotonic)
        calls.told = lambda how, early: (
            tell.model_call(there, how, early) if (there := known()) is not None else None
        )
        return session

    def begin_turn(self, session: Session, lane: str, spawn: contextvars.Context) -> None:
        """A model is about to be called: what earlier runs of the conversation have kept is there for it."""
        self._kept.give(session, lane, spawn)

    def preempt(self, conflict: ClaimedError) -> None:
        """A real call comes first: what another session here holds for a guess only is given up."""
        effect_id = conflict.facts.get("effect_id")
        for session in tuple(self._open.values()):
            if session.session_id == conflict.facts.get("session_id"):
                for speculation in session.pending:
                    if speculation.effect_id == effect_id and not speculation.expected:
                        self._retirer.retire(session, speculation, "preempted")

    def for_new_run(self, session: Session, lane: str) -> Session:
        """The user has spoken: what an earlier run left behind ends, unless others are at work in it."""
        others = any(item.lane != lane and item.stay is not Stay.CARRIED for item in session.pending)
        if not session.touched or session.busy or session.closing or others or session.run_key:
            # A run with a key is not told by who spoke last: its first turn may be made again.
            return session
        self.close(session, "superseded")
        return self.get(session.key)

    def begin_run(self, session: Session, run_key: str, known: Known) -> Session:
        """The session for this logical run: another one than that of the run before."""
        conversation = conversation_of(known)
        if session.run_key == run_key and session.touched:
            if conversation is not None:
                session.go_on(conversation)
                if conversation.branched:
                    self._say_branched(session)
            return session
        # What an earlier run left unasked for is taken back at its end, and this is it.
        if session.touched or (session.run_key not in {"", run_key} and session.known is not None):
            session.ended = True
            self.close(session, "superseded")
            session = self.get(session.key)
        session.run_key, session.known = run_key, conversation
        if conversation is not None and conversation.branched:
            self._say_branched(session)
        return session

    def _say_branched(self, session: Session) -> None:
        log.info(
            "conversation %s goes on from an older point, as a branch of its own: what was done after that "
            "is given again where it is asked for, and stays where it is not",
            session.key.thread,
        )
        self._tell.see(EventKind.CONVERSATION_BRANCHED, session)

    def close(self, session: Session, cause: str) -> asyncio.Task[None] | None:
        """Begin to close a session, or find the task that does; None when it is closed already.

        From now on nothing is started in it, and its key has another one.
        """
        if session.closing:
            return self._closing.get(session)
        session.closing = True
        if self._open.get(session.key) is session:
            del self._open[session.key]
            self._remember(session)
        self._kept.keep(session, cause)
        self._retirer.end(session, cause)
        # A task of its own: whoever waits for it may be cancelled, the closing goes on.
        task = asyncio.get_running_loop().create_task(self._close(session, cause))
        self._closing[session] = task
        task.add_done_callback(lambda done: _log(session, done))
        return task

    def _remember(self, session: Session) -> None:
        """The run goes on, maybe, in another session: with what it has been answered so far."""
        if session.run_key and session.key.thread and not session.ended:
            known: Conversation | None = session.known
            if known is not None:
                known = Continued(known, session.answered)
            self._runs[session.key] = (session.run_key, known)
            if len(self._runs) > MOST_RUNS:
                self._runs.popitem(last=False)

    async def _close(self, session: Session, cause: str) -> None:
        try:
            await session.close()
        finally:
            del self._closing[session]
            session.writes.close(self._parts.clock.monotonic())
            self._parts.door.missed.forget(session.session_id)
            self._tell.see(EventKind.SETTLED, session, cause=cause)

    async def settle(self, session: Session, cause: str) -> None:
        """Close a session and wait until it is; raises what `Session.close` raises."""
        task = self.close(session, cause)
        if task is not None:
            await asyncio.shield(task)

    async def finish(self, session: Session, lane: str, cause: str) -> None:
        """An agent of the session is done. When nothing else goes on in it, the session is settled."""
        self._kept.keep(session, cause, lane)
        self._retirer.end(session, cause, lane=lane)
        session.newest.pop(lane, None)
        session.lanes.pop(lane, None)
        if cause == "run_ended" and not session.lanes:
            # An agent inside another graph ends before its run does.
            told = session.known is not None and session.known.says_end
            session.ended = not (session.run_key and (lane or told))
            session.waiting.clear()  # nobody is left who would go on with an answer
        await self._settle_quietly(session, cause)

    async def end_run(self, key: SessionKey, run_key: str) -> None:
        """The host says that the run has ended: what it never asked for is taken back.

        Never raises for the journal: the run has its answer, and recovery settles the rest.
        """
        session = self.get(key)
        if session.run_key == run_key and not session.closing:
            session.ended = True
            try:
                await self.settle(session, "run_ended")
            except SpecflowError as error:
                log.debug("settling after the end of run %s: %s", run_key, error)

    async def pause(self, session: Session) -> None:
        """The run stops to ask somebody. What is still going on is let go on; then the session is settled."""
        session.paused = True
        await self._settle_quietly(session, "paused")

    async def _settle_quietly(self, session: Session, cause: str) -> None:
        if session.closing or not session.idle:
            return
        try:
            await self.settle(session, cause)
        except SpecflowError as error:
            # The run has its answer: what could not be settled is left to recovery, and is in the log.
            log.debug("settling after %s: %s", cause, error)

    def left(self, session: Session) -> None:
        """A real call is over. The last one of a run that has paused ends its session."""
        if session.paused and session.idle and not session.closing:
            self.close(session, "paused")

    def abandon(self) -> None:
        """The event loop has ended. Its sessions are taken over; what it has kept ends here."""
        self._kept.abandon()

    async def aclose(self) -> None:
        """Close every session; raises the first error, when all are done."""
        for session in tuple(self._open.values()):
            self.close(session, "shutdown")
        self._kept.end("shutdown")
        if self._orphans:
            await asyncio.wait(set(self._orphans))
        ended = await asyncio.shield(asyncio.gather(*self._closing.values(), return_exceptions=True))
        await self._retirer.leftovers.quiet()
        for error in ended:
            if error is not None:
                raise error

    def take_over(self, session_ids: Iterable[str]) -> None:
        """Settle sessions whose event loop ended before they were closed."""
        for session_id in session_ids:
            task = asyncio.get_running_loop().create_task(self._take_over(session_id))
            self._orphans.add(task)
            task.add_done_callback(self._orphans.discard)

    async def _take_over(self, session_id: str) -> None:
        parts = self._parts
        try:
            lease = await parts.journal.take_session(session_id, owner=parts.owner, force=True)
            if lease is not None:
                await settle_taken(parts.journal, parts.settler, lease, cause="loop_ended")
        except SpecflowError as error:
            log.error("session %s is left to recovery: %s", session_id, error)  # noqa: TRY400 - the world's fault, said in one line

    def _sweep(self) -> None:
        now = self._parts.clock.monotonic()
        for session in tuple(self._open.values()):
            if now - session.used < IDLE:
                return
            if session.busy:
                self._open.move_to_end(session.key)
                session.used = now
            else:
                self.close(session, "idle")


def _log(session: Session, done: asyncio.Task[None]) -> None:
    if not done.cancelled() and done.exception() is not None:
        log.error(
            "session %s could not be closed and is left to recovery: %s", session.session_id, done.exception()
        )
