"""The life of a call, from top to bottom. Read this first.

    predicted -> judged -> intended -> executed -> adopted (committed) | missed (compensated | cancelled)

A model turn is heard chunk by chunk. What the predictors propose is judged by the policy and weighed by
the gate, and what passes is started under a branch of its own (`launch`). When the real run arrives at
the same call it adopts that work instead of starting it again (`adopt`); a write that is nearly the same
can be amended (`amend`). What it does not adopt is cancelled or undone (`retire`), or kept for the next run
(`kept`). The real run always decides: speculation changes when work starts, never which work counts.
"""

from __future__ import annotations

import contextvars
import logging
import math
from collections.abc import Sequence
from typing import Any

from specflow.effects.call import Call
from specflow.effects.tool import Runner, ToolSpec
from specflow.errors import ConflictError, RefusedError
from specflow.journal.event import EventKind
from specflow.policy.verdict import Speculate, Verdict
from specflow.prediction.candidate import Retraction
from specflow.prediction.chunk import Chunk
from specflow.prediction.predictor import TurnContext
from specflow.speculation.admit import admit
from specflow.speculation.adopt import Adopter, Ending, RealCall
from specflow.speculation.amend import Amender
from specflow.speculation.awaited import Awaited
from specflow.speculation.best_first import best_first
from specflow.speculation.branch import Branch
from specflow.speculation.chain import Chains
from specflow.speculation.conversation import Known
from specflow.speculation.forks import Forks
from specflow.speculation.hopes import Hopes
from specflow.speculation.launch import Launcher
from specflow.speculation.make import Maker
from specflow.speculation.match import match_key
from specflow.speculation.misfire import message_of
from specflow.speculation.not_called import unless_adopted
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.passage import Passage
from specflow.speculation.presume import Presumer
from specflow.speculation.retire import Retirer
from specflow.speculation.room import Room
from specflow.speculation.session import Session, SessionKey
from specflow.speculation.sessions import Sessions
from specflow.speculation.shadow import Shadows
from specflow.speculation.shown_reads import reads_with, shown_with
from specflow.speculation.tell import Teller
from specflow.speculation.turn import Turn

log = logging.getLogger("specflow")


class Coordinator:
    """Belongs to one event loop: runs ahead of its agents, and hands them what turns out right."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._tell = parts, Teller(parts)
        self._retirer = Retirer(parts, self._tell)
        self._sessions = Sessions(parts, self._tell, self._retirer)
        self._maker = Maker(parts, self._retirer, Passage(parts, self._sessions, Room(parts, self._retirer)))
        self._launcher = Launcher(parts, self._tell, self._retirer)
        self._chains = Chains(parts, self._launcher, self._retirer.leftovers)
        forks = Forks(parts, self._retirer.leftovers)
        self._presumer = Presumer(parts, self._tell, self._retirer, self._chains, forks)
        self._launcher.started = self._presumer.started
        self._shadows, self.hopes = Shadows(parts, self._launcher, self._presumer, forks), Hopes(parts)
        self._adopter = Adopter(parts, self._tell, self._retirer)
        self._amender = Amender(parts, self._tell, self._retirer)

    def session(self, key: SessionKey) -> Session:
        """The session of that key, made when there is none."""
        return self._sessions.get(key)

    def begin_run(self, session: Session, run_key: str, *, known: Known = None) -> Session:
        """A logical run begins, or goes on after a crash or a pause; returns the session it works in.

        `run_key` is that of no other request. What it has committed beyond `known` is given, or taken back.
        """
        return self._sessions.begin_run(session, run_key, known)

    # ------------------------------------------------------------------ a model turn

    def begin_turn(
        self, session: Session, context: TurnContext, spawn: contextvars.Context, *, lane: str = ""
    ) -> Turn:
        """A model is about to be called. What its earlier turns left unadopted ends here.

        `lane` tells agents that run side by side in one session apart, `spawn` is the context of early calls
        of this turn. A new run of the conversation has another session than that given.
        """
        if context.history and context.history[-1].role == "user":
            session = self._sessions.for_new_run(session, lane)
        session.touched, session.paused = True, False
        self._retirer.unadopted(session, "turn_ended", lane=lane, began=session.lanes.get(lane, -math.inf))
        session.grove.prune()
        self._sessions.begin_turn(session, lane, spawn)
        now = session.lanes[lane] = self._parts.clock.monotonic()
        reads = (*session.pending, *session.claimed)
        session.writes.forget_before(min([now, *(item.started for item in reads)]))
        session.turns.add(turn := self._turn(session, context, spawn, lane))
        facts = {"tools": len(context.tools)}
        self._tell.see(EventKind.TURN_STARTED, session, turn_id=turn.turn_id, facts=facts)
        if self._parts.mode is not Mode.OFF:
            turn.listen(self._parts.predictors)
            self._chains.begin(turn)
        return turn

    def _turn(self, session: Session, context: TurnContext, spawn: contextvars.Context, lane: str) -> Turn:
        now, turn_id = self._parts.clock.monotonic(), self._parts.ids.new("turn")
        return Turn(turn_id=turn_id, lane=lane, session=session, context=context, spawn=spawn, started=now)

    def hear(self, turn: Turn, chunk: Chunk) -> None:
        """The model said something more. Cheap unless a predictor makes a call of it."""
        if turn.ended:
            return
        for proposal in best_first(self._parts, turn, turn.hear(chunk)):
            try:
                if isinstance(proposal, Retraction):
                    self._launcher.withdraw(turn, proposal)
                else:
                    for candidate in (proposal, *shown_with(self._parts, proposal)):
                        self._launcher.consider(turn.outlook, candidate)
            except Exception:
                # A schema that cannot be read, say: nothing is started, and the model is heard on.
                log.exception("%s was proposed and could not be considered", proposal.call.tool)

    def end_turn(self, turn: Turn, calls: Sequence[Call], cause: str = "") -> None:
        """The message is there (`calls` are what it asks for), or the model failed (`cause` says how).

        Of what was started, the calls of the message wait for their adoption; the rest ends.
        """
        if turn.ended:
            return
        self._launcher.end(turn, whole=not cause)
        self._chains.end(turn)
        (session := turn.session).turns.discard(turn)
        session.newest[turn.lane] = turn
        self.hopes.learn(turn, made := {self._key(call): call.tool for call in calls}, cause)
        wanted = {*made, *(self._key(call) for call in reads_with(self._parts, calls))}
        turn.message = None if cause else message_of(calls, wanted)
        for speculation in session.pending:
            speculation.expected = speculation.expected or speculation.key in wanted
        self._amender.expect(session, turn.lane, calls)
        why = cause or "mismatch"
        self._retirer.unadopted(session, why, lane=turn.lane, spare_expected=True, began=turn.started)
        unless_adopted(session, self._retirer.retire)
        self._tell.turn_ended(turn, calls, cause)

    # ------------------------------------------------------------------ a real call

    def verdict(self, call: Call) -> Verdict:
        """What the policy says about a call."""
        return self._parts.judge.judge(self._parts.registry.get(call.tool), call, context=self._parts.context)

    async def real_call(self, session: Session, real: RealCall) -> Any:
        """The real run wants this call now: adopt it, or make it. Returns the tool's own value.

        Raises:
            RefusedError: the policy denies it, or it needs a person's yes and has none.
            ConflictError: an effect in its way is not settled.
            Exception: whatever the tool raised.
        """
        clock, verdict = self._parts.clock, self.verdict(real.call)
        started = clock.monotonic()
        key = self._key(real.call)
        about = {"call": real.call, "call_id": real.call_id, "verdict": verdict, "key": key}
        self._tell.see(EventKind.CALL_STARTED, session, **about, facts={"tool_call_id": real.tool_call_id})
        ending = Ending() if verdict.speculate is Speculate.NOW else Ending(outcome="held")
        session.enter()
        try:
            admit(verdict, real)
            await session.ready()
            with self._presumer.asked(session, key, real, verdict) as pending:
                value = ending.answered(await self._answer(session, key, real, verdict, ending))
                self._presumer.answer(session, real, pending, value)
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

    async def _answer(
        self, session: Session, key: str, real: RealCall, verdict: Verdict, ending: Ending
    ) -> Any:
        if verdict.effect.writes and session.orphans.holds(real.call.fingerprint):
            again = await self._adopter.orphan(session, real)
            if again is not None:
                ending.outcome = "replayed"
                return again.value
        early = await self._adopter.find(
            session, key, real, ending, lambda: self._maker.make(session, key, real, verdict)
        ) or await self._amender.amend(session, key, real, verdict, ending)
        if early is not None:
            return early.value
        done = await self._maker.make(session, key, real, verdict)
        if done.replayed:
            ending.outcome = "replayed"
            session.orphans.found(done.effect_id)
        return done.value

    # ------------------------------------------------------------------ ahead of what is pending

    def awaiting(
        self, session: Session, ask: Call, context: TurnContext, origin: object = None, *, lane: str = ""
    ) -> Awaited:
        """A person is asked something, or the user is to speak: pending as a call is, until told.

        `context` is the conversation so far, without the answer. The session is kept for as long.
        """
        turn = self._turn(session, context, contextvars.copy_context(), lane)
        turn.ended = True
        question = self._presumer.awaiting(ask, turn.outlook, origin)
        return Awaited(self._presumer, self._sessions, session, question)

    async def shadow_call(
        self, session: Session, branch: Branch, call: Call, tool: ToolSpec, runner: Runner, **more: Any
    ) -> Any:
        """A call made inside the fork that is the task of `branch`; `more` as in `Shadows.call`.

        Raises:
            NotEarlyError: it must not run early, or came to nothing; the fork ends.
        """
        return await self._shadows.call(session, branch, call, tool, runner, **more)

    # ------------------------------------------------------------------ the end

    async def finish(self, session: Session, lane: str, cause: str) -> None:
        """An agent of the session is done; when nothing else goes on in it, the session is settled.
        Never raises for the journal: the run has its answer, and recovery settles the rest.
        """
        await self._sessions.finish(session, lane, cause)

    async def end_run(self, key: SessionKey, run_key: str) -> None:
        await self._sessions.end_run(key, run_key)

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

    def abandon(self) -> None:
        """Its event loop has ended, and with it what was kept there. Called from another one."""
        self._sessions.abandon()

    async def aclose(self) -> None:
        """Settle every session."""
        await self._sessions.aclose()

    def _key(self, call: Call) -> str:
        tool = self._parts.registry.get(call.tool)
        if tool is None:
            return call.fingerprint
        match = self._parts.judge.settings(tool).match
        return match_key(call, match, writes=match.mode != "exact" and self.verdict(call).effect.writes)
