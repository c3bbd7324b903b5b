"""The life of a call, from top to bottom. Read this first.

    predicted -> judged -> intended -> executed -> adopted (committed) | missed (compensated | cancelled)

A model turn is heard chunk by chunk. What the predictors propose is judged by the policy and weighed by
the gate, and what passes is started under a branch of its own (`launch`). When the real run arrives at
the same call it adopts that work instead of starting it again (`adopt`). What it does not adopt is
cancelled or undone (`retire`). The real run always decides: speculation changes when work starts, never
which work counts.

One coordinator belongs to one event loop.
"""

from __future__ import annotations

import contextvars
import copy
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from specflow.effects.call import Call
from specflow.effects.footprint import overlap
from specflow.effects.kind import EffectClass
from specflow.errors import ConflictError, RefusedError
from specflow.execution.door import Order
from specflow.journal.event import EventKind
from specflow.policy.verdict import Asking, Speculate, Verdict
from specflow.prediction.candidate import Retraction
from specflow.prediction.chunk import Chunk
from specflow.prediction.predictor import TurnContext
from specflow.speculation.adopt import Adopter, Ending, RealCall
from specflow.speculation.launch import Launcher, claims_of, footprint_of, written_by
from specflow.speculation.match import match_key
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.passage import Passage
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session, SessionKey
from specflow.speculation.sessions import Sessions
from specflow.speculation.tell import Teller
from specflow.speculation.turn import Turn

log = logging.getLogger("specflow")

WRITE_PATIENCE = 60.0
"""Seconds an early write that the message asked for waits for its call, before it is undone after all."""


class Coordinator:
    """Runs ahead of agents on one event loop, and hands them what turns out right."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tell = Teller(parts)
        self._retirer = Retirer(parts, self._tell)
        self._sessions = Sessions(parts, self._tell, self._retirer)
        self._passage = Passage(parts, self._sessions)
        self._launcher = Launcher(parts, self._tell, self._retirer)
        self._adopter = Adopter(parts, self._tell, self._retirer)

    def session(self, key: SessionKey) -> Session:
        """The session of that key, made when there is none."""
        return self._sessions.get(key)

    def begin_run(self, session: Session, run_key: str, *, known: Iterable[str] | None = None) -> Session:
        """A logical run begins, or goes on after a crash or a pause; returns the session it works in.

        `run_key` is the same for all of it, and another one for a new request of the user. `known` are the
        identities of the calls that the loaded conversation holds: what the run has committed beyond them is
        given to it when it asks again, and taken back if it never does. None: nothing is known about that.
        """
        return self._sessions.begin_run(session, run_key, known)

    # ------------------------------------------------------------------ a model turn

    def begin_turn(
        self, session: Session, context: TurnContext, spawn: contextvars.Context, *, lane: str = ""
    ) -> Turn:
        """A model is about to be called. What its earlier turns left unadopted ends here.

        `lane` tells agents that run side by side in one session apart; `spawn` is the context in which
        early calls of this turn run. The turn's session is another one than that given when a new run
        of the conversation begins.
        """
        if context.history and context.history[-1].role == "user":
            session = self._sessions.for_new_run(session, lane)
        session.touched, session.paused = True, False
        session.lanes.add(lane)
        self._retirer.unadopted(session, "turn_ended", lane=lane)
        now = self._parts.clock.monotonic()
        reads = (*session.pending, *session.claimed)
        session.writes.forget_before(min([now, *(item.started for item in reads)]))
        turn = Turn(
            turn_id=self._parts.ids.new("turn"),
            lane=lane,
            session=session,
            context=context,
            spawn=spawn,
            started=now,
        )
        session.turns.add(turn)
        self._tell.see(
            EventKind.TURN_STARTED, session, turn_id=turn.turn_id, facts={"tools": len(context.tools)}
        )
        if self._parts.mode is not Mode.OFF:
            turn.listen(self._parts.predictors)
        return turn

    def hear(self, turn: Turn, chunk: Chunk) -> None:
        """The model said something more. Cheap unless a predictor makes a call of it."""
        if turn.ended:
            return
        for proposal in turn.hear(chunk):
            if isinstance(proposal, Retraction):
                self._launcher.withdraw(turn, proposal)
                continue
            try:
                self._launcher.consider(turn, proposal)
            except Exception:
                # A schema that cannot be read, say: nothing is started, and the model is heard on.
                log.exception("%s was proposed and could not be considered", proposal.call.tool)

    def end_turn(self, turn: Turn, calls: Sequence[Call], cause: str = "") -> None:
        """The message is there (`calls` are what it asks for), or the model failed (`cause` says how).

        Of what was started, the calls of the message wait for their adoption; the rest ends.
        """
        if turn.ended:
            return
        turn.ended = True
        session = turn.session
        session.turns.discard(turn)
        wanted = {self._key(call) for call in calls}
        for speculation in session.pending:
            speculation.expected = speculation.expected or speculation.key in wanted
        self._retirer.unadopted(session, cause or "mismatch", lane=turn.lane, spare_expected=True)
        self._retirer.unless_adopted(session, WRITE_PATIENCE)
        facts = {"calls": len(calls), "launched": turn.launched, "proposed": turn.proposed}
        self._tell.see(EventKind.TURN_ENDED, session, turn_id=turn.turn_id, cause=cause, facts=facts)

    # ------------------------------------------------------------------ a real call

    def verdict(self, call: Call) -> Verdict:
        """What the policy says about a call."""
        parts = self._parts
        return parts.judge.judge(parts.registry.get(call.tool), call, context=parts.context)

    async def real_call(self, session: Session, real: RealCall) -> Any:
        """The real run wants this call now: adopt it, or make it. Returns the tool's own value.

        Raises:
            RefusedError: the policy denies it, or it needs a person's yes and has none.
            ConflictError: an effect in its way is not settled.
            Exception: whatever the tool raised.
        """
        clock = self._parts.clock
        verdict = self.verdict(real.call)
        started = clock.monotonic()
        about = {"call": real.call, "call_id": real.call_id, "verdict": verdict}
        facts = {"tool_call_id": real.tool_call_id}
        self._tell.see(EventKind.CALL_STARTED, session, **about, facts=facts)
        ending = Ending() if verdict.speculate is Speculate.NOW else Ending(outcome="held")
        session.enter()
        try:
            _admit(verdict, real)
            await session.ready()
            value = await self._answer(session, real, verdict, ending)
        except BaseException as error:
            ending.error = f"{type(error).__name__}: {error}"
            if isinstance(error, RefusedError):
                ending.outcome = "refused"
            raise
        else:
            if verdict.effect.writes:
                session.answered.add(real.identity)
            return value
        finally:
            session.leave()
            self._tell.see(
                EventKind.CALL_ENDED,
                session,
                **about,
                outcome=ending.outcome,
                error=ending.error,
                speculation_id=ending.speculation_id,
                facts={"seconds": clock.monotonic() - started, **ending.facts},
            )
            self._sessions.left(session)

    async def _answer(self, session: Session, real: RealCall, verdict: Verdict, ending: Ending) -> Any:
        key = self._key(real.call)
        if verdict.effect.writes and session.orphans.holds(real.call.fingerprint):
            again = await self._adopter.orphan(session, real)
            if again is not None:
                ending.outcome = "replayed"
                return again.value
        early = await self._adopter.find(session, key, real, ending)
        if early is not None:
            return _private(early.value)
        parts, clock = self._parts, self._parts.clock
        settings = parts.judge.settings(real.tool)
        footprint = footprint_of(settings, real.call.args, verdict)
        # Announced first, so that no early write can start in its way while the way is being cleared.
        session.in_flight.append(footprint)
        span = None
        try:
            await self._retirer.clear_way(session, footprint, key, writes=verdict.effect.writes)
            if verdict.effect.writes:
                await session.make_way(lambda row: overlap(footprint, written_by(parts, row)))
                span = session.writes.begin(footprint, clock.monotonic())
            order = Order(
                call=real.call,
                tool=real.tool,
                settings=settings,
                verdict=verdict,
                runner=real.runner,
                adopted_by=real.identity,
                traceparent=parts.traceparent(real.call_id),
                saga=parts.saga,
                claims=claims_of(settings, real.call.args),
            )
            done = await self._passage.make(session, order)
        finally:
            session.in_flight.remove(footprint)
            if span is not None:
                session.writes.end(span, clock.monotonic())
        if done.replayed:
            ending.outcome = "replayed"
            session.orphans.found(done.effect_id)
        return done.value

    # ------------------------------------------------------------------ the end

    async def finish(self, session: Session, lane: str, cause: str) -> None:
        """An agent of the session is done. When nothing else goes on in it, the session is settled.

        Never raises for the journal: the run has its answer, and recovery settles the rest.
        """
        await self._sessions.finish(session, lane, cause)

    async def pause(self, session: Session) -> None:
        """The run stops to ask somebody. As `finish`, but early work that waits for adoption is kept."""
        await self._sessions.pause(session)

    async def settle(self, session: Session, cause: str = "run_ended") -> None:
        """The run is over: end what is left, wait until it is undone, close the session in the journal."""
        session.ended = session.ended or cause == "run_ended"
        await self._sessions.settle(session, cause)

    async def take_back(self, session: Session, cause: str = "taken back") -> None:
        """The run has failed as a whole: undo what it committed, too, newest first, and close the session.

        What has no compensator is stuck, for an operator to see.

        Raises:
            ConflictError: it was closed, or was being closed, as completed.
        """
        session.taking_back = session.ended = True
        await self._sessions.settle(session, cause)
        if session.completed:
            raise ConflictError(
                f"session {session.session_id} is completed: what it did is not taken back as a whole",
                hint="undo it with the tools themselves",
                session_id=session.session_id,
            )

    def take_over(self, session_ids: Sequence[str]) -> None:
        """Settle sessions of an event loop that has ended."""
        self._sessions.take_over(session_ids)

    async def aclose(self) -> None:
        """Settle every session."""
        await self._sessions.aclose()

    def _key(self, call: Call) -> str:
        tool = self._parts.registry.get(call.tool)
        if tool is None:
            return call.fingerprint
        match = self._parts.judge.settings(tool).match
        return match_key(call, match, writes=match.mode != "exact" and self.verdict(call).effect.writes)


def _admit(verdict: Verdict, real: RealCall) -> None:
    """# INVARIANT: nothing that the policy denies, or that a person must approve and has not, is run."""
    why = "; ".join(f"{reason.code}: {reason.message}" for reason in verdict.reasons)
    if verdict.effect is EffectClass.DENY:
        raise RefusedError(f"the policy denies {real.call.tool}: {why}", tool=real.call.tool)
    asks = verdict.effect is EffectClass.CONFIRMATION_REQUIRED and verdict.confirm is Asking.ASK
    if asks and not real.approved:
        raise RefusedError(f"{real.call.tool} needs a person's approval: {why}", tool=real.call.tool)


def _private(value: Any) -> Any:
    """A copy, so that whoever changes the result changes only their own; some things cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - a generator, a lock, an open file: there is one, and it is the caller's
        return value
