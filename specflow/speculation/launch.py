"""JUDGED, INTENDED, EXECUTED: from a proposed call to work that is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from specflow.effects.footprint import Keys
from specflow.effects.result import seen
from specflow.effects.tool import Runner, ToolSpec
from specflow.errors import ClaimedError, ConflictError
from specflow.execution.order import Done, Order
from specflow.execution.patience import Patience
from specflow.journal.event import EventKind
from specflow.policy.settings import EARLY_TIMEOUT, ToolSettings
from specflow.policy.verdict import Speculate, Verdict
from specflow.prediction.candidate import Candidate, Retraction, probability
from specflow.speculation.believe import believed
from specflow.speculation.duplicate import running_for
from specflow.speculation.early_write import check_record, grounds, reason_not_to_disturb, reason_not_to_write
from specflow.speculation.ground import await_ground
from specflow.speculation.heard import heard
from specflow.speculation.home import house, recorded_above
from specflow.speculation.keep import keeping
from specflow.speculation.lookahead import beyond
from specflow.speculation.match import match_key
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.pending import Speculation, Stay
from specflow.speculation.retire import Retirer
from specflow.speculation.room import Room
from specflow.speculation.share import Sharer
from specflow.speculation.slot import Slot, occupying
from specflow.speculation.tell import Teller
from specflow.speculation.touch import claims_of, footprint_of, narrow
from specflow.speculation.turn import Outlook, Turn
from specflow.speculation.version import Versions
from specflow.speculation.waiting import wait_for_room
from specflow.speculation.weigh import Weighed, weigh
from specflow.speculation.weight import weight

Started = Callable[[Outlook, Speculation], None]
"""Told of a call that has been started early, and of the outlook that it was foreseen from."""


class Launcher:
    """Starts what the policy allows and the gate finds worth it."""

    def __init__(self, parts: Parts, tell: Teller, retirer: Retirer) -> None:
        self._parts, self._tell, self._retirer = parts, tell, retirer
        self._sharer = Sharer(parts, retirer.leftovers)
        self._room = Room(parts, retirer)
        self.started: Started = lambda _outlook, _speculation: None

    def consider(
        self,
        outlook: Outlook,
        candidate: Candidate,
        tool: ToolSpec | None = None,
        runner: Runner | None = None,
        *,
        again: bool = False,
    ) -> Speculation | None:
        """Judge a proposed call, and start it or say why not. Returns what runs for it, if anything does.

        `tool` and `runner` are given by who has its own: a fork. `again`: it has waited for room, as told.
        """
        parts, turn = self._parts, outlook.turn
        session, tell = turn.session, _silent if again else self._tell.withheld
        turn.proposed += not again
        confidence = probability(candidate.confidence)
        candidate = replace(candidate, confidence=confidence or 0.0)
        tool = tool or parts.registry.get(candidate.call.tool)
        if tool is not None:
            # As the real call will be: without what is not the model's to choose.
            candidate = replace(candidate, call=tool.call(candidate.call.args))
        call = candidate.call
        if not again:
            self._tell.proposed(turn, candidate, outlook.branch)
        if confidence is None or tool is None or not (runner or tool.runner) or tool.problems(call.args):
            tell(turn, candidate, None, "invalid")
            return None
        settings = parts.judge.settings(tool)
        if tool.injected:
            # It depends on state that only the real run has.
            tell(turn, candidate, None, "injected")
            return None
        verdict = parts.judge.judge(tool, call, context=parts.context, tainted=candidate.tainted)
        key = match_key(call, settings.match, writes=verdict.effect.writes)
        candidate, doubt = believed(parts, outlook, key, candidate, writes=verdict.effect.writes, again=again)
        known = running_for(parts, self._retirer, session, key)
        if known is not None and not doubt:
            known.supporters.add(candidate.predictor)
            if not known.writes and known.lane == turn.lane and known.stay is not Stay.CARRIED:
                self._hope(outlook, known, candidate)
            tell(turn, candidate, verdict, "duplicate")
            return known if known.tool == tool else None
        footprint = footprint_of(settings, call.args, verdict)
        cause = self._reason_to_wait(outlook, candidate, settings, verdict, footprint)
        cause = cause or doubt or ("shared" if self._sharer.has(session, key, tool, settings) else "")
        if cause:
            effect_id = session.switched_off.by(call.tool) if cause == "stuck" else ""
            tell(turn, candidate, verdict, cause, effect_id=effect_id)
            return None
        weighed = self._weigh(outlook, key, candidate, settings, verdict, alone=runner is None, again=again)
        if weighed is None:
            return None
        speculation = Speculation(
            speculation_id=parts.ids.new("spec"),
            effect_id=parts.ids.new("eff"),
            branch_id=parts.ids.new("br"),
            turn_id=turn.turn_id,
            lane=turn.lane,
            key=key,
            candidate=candidate,
            tool=tool,
            settings=settings,
            verdict=verdict,
            footprint=footprint,
            started=parts.clock.monotonic(),
            supporters={candidate.predictor},
            above=outlook.branch,
            runner=runner or tool.runner,
            patience=Patience(settings.timeout or EARLY_TIMEOUT),
            claims=claims_of(settings, call.args) if verdict.effect.writes else (),
            needs=grounds(outlook, candidate, settings, verdict, footprint) or (),
            probability=weighed.probability,
            value=weighed.value,
            source=weighed.source,
            spawn=turn.spawn,
        )
        self._launch(outlook, speculation, weighed)
        self._sharer.offer(session, speculation, turn.spawn)
        return speculation

    def _weigh(
        self,
        outlook: Outlook,
        key: str,
        candidate: Candidate,
        settings: ToolSettings,
        verdict: Verdict,
        *,
        alone: bool,
        again: bool,
    ) -> Weighed | None:
        """What the gate says; None where it withholds the call. `alone`: nobody waits for the answer."""
        parts, turn, tool = self._parts, outlook.turn, candidate.call.tool
        judged = (parts, outlook, candidate, settings, verdict)
        weighed = self._room.for_guess(turn.session, tool, lambda: weigh(*judged))
        if weighed.waits and alone:
            wait_for_room(
                turn,
                key,
                candidate,
                weighed,
                again=lambda: outlook.over or self.consider(outlook, candidate, again=True),
                now=parts.clock.monotonic(),
            )
        cause = weighed.cause or ("mode" if turn.session.mode is Mode.SHADOW else "")
        if cause and not again:
            self._tell.withheld(turn, candidate, verdict, cause, key=key, facts=weighed.facts)
        return None if cause else weighed

    def end(self, turn: Turn, *, whole: bool) -> None:
        """The model has stopped; nothing more is started for this turn. `whole`: it said all it wanted to."""
        turn.ended = True
        turn.waiting.clear()
        if whole:
            self._parts.turns.saw(turn.agent, self._parts.clock.monotonic() - turn.started)

    def withdraw(self, turn: Turn, retraction: Retraction) -> None:
        """A predictor takes a call back; without other supporters its work ends."""
        tool = self._parts.registry.get(retraction.call.tool)
        call = tool.call(retraction.call.args) if tool is not None else retraction.call
        turn.forget(call, retraction.predictor)
        self._tell.retracted(turn, call, retraction.predictor)
        for speculation in turn.session.pending:
            same = speculation.turn_id == turn.turn_id and speculation.call == call
            if same and retraction.predictor in speculation.supporters:
                speculation.supporters.discard(retraction.predictor)
                if not speculation.supporters:
                    self._retirer.retire(turn.session, speculation, f"retracted: {retraction.reason}")

    def _reason_to_wait(
        self,
        outlook: Outlook,
        candidate: Candidate,
        settings: ToolSettings,
        verdict: Verdict,
        footprint: Keys,
    ) -> str:
        session, above = outlook.turn.session, outlook.branch
        if session.closing:
            return "closing"
        if verdict.speculate is not Speculate.NOW:
            return "policy"
        if self._parts.demotions.holds(candidate.call.tool):
            return "diverged"
        if verdict.predictors is not None and candidate.predictor not in verdict.predictors:
            return "predictor"
        barred = beyond(self._parts.lookahead, session.grove, above, writes=verdict.effect.writes)
        if not barred and verdict.effect.writes:
            barred = reason_not_to_write(outlook, candidate, settings, verdict, footprint)
        return barred or reason_not_to_disturb(session, candidate, settings, verdict)

    def _hope(
        self, outlook: Outlook, speculation: Speculation, candidate: Candidate, branch_id: str = ""
    ) -> None:
        """A branch of its own hopes for the call; it lives while one does."""
        session = outlook.turn.session
        branch_id = branch_id or self._parts.ids.new("br")
        home = house(session.grove, outlook.branch, speculation, candidate, branch_id)
        if home is not None:
            home.own(
                speculation,
                lambda cause: speculation.leave(home) and self._retirer.retire(session, speculation, cause),
            )

    def _launch(self, outlook: Outlook, speculation: Speculation, weighed: Weighed) -> None:
        turn, session = outlook.turn, outlook.turn.session
        turn.launched += 1
        session.pending.register(speculation)
        self._hope(outlook, speculation, speculation.candidate, speculation.branch_id)
        for base in speculation.needs:
            base.dependents.append(speculation)
        self._retirer.began(session, speculation)
        self._tell.launched(session, speculation, weighed.facts)
        slot = session.spending.began(speculation)
        speculation.work = asyncio.get_running_loop().create_task(
            self._run_early(turn, speculation, slot), context=turn.spawn.copy()
        )
        slot.hold(speculation.work)
        speculation.work.add_done_callback(heard)
        self.started(outlook, speculation)

    async def _run_early(self, turn: Turn, speculation: Speculation, slot: Slot) -> Done:
        runner = speculation.runner
        assert runner is not None
        parts, session = self._parts, turn.session
        ended: dict[str, object] = {"outcome": "cancelled"}
        gone_wrong: BaseException | None = None
        try:
            await session.ready()
            speculation.line = session.line
            if speculation.writes:
                await check_record(parts, session, speculation)
                with speculation.prepared():
                    await await_ground(speculation)
            else:
                await Versions(parts).before(session, speculation)
            self._tell.of(EventKind.RUN_STARTED, session, speculation)
            order = Order(
                call=speculation.call,
                tool=speculation.tool,
                settings=speculation.settings,
                verdict=speculation.verdict,
                runner=keeping(occupying(runner, slot), speculation.enter, speculation.keep_copy),
                effect_id=speculation.effect_id,
                branch_id=speculation.branch_id,
                parent_id=recorded_above(speculation.above),
                hypothesis=speculation.presumed,
                traceparent=parts.traceparent(speculation.speculation_id),
                claims=speculation.claims,
                preparing=speculation.prepared,
                patience=speculation.patience,
            )
            with parts.surround(speculation.speculation_id):
                done = await parts.door.run(order, session.lease)
            ended = {"outcome": "ok", "facts": {"result": seen(done.value)}}
            speculation.size = weight(done.value)
            self._room.for_results(session)
            if not speculation.writes:
                narrow(speculation, done.value)
        except ConflictError as error:
            gone_wrong = error
            ended = {"outcome": "withheld", "error": f"{type(error).__name__}: {error}"}
            self._hold_back(turn, speculation, error)
            raise
        except BaseException as error:
            gone_wrong = error
            if isinstance(error, Exception):
                ended = {"outcome": "error", "error": f"{type(error).__name__}: {error}"}
            raise
        finally:
            self._retirer.returned(session, speculation, gone_wrong)
            self._tell.of(EventKind.RUN_ENDED, session, speculation, **ended)
        return done

    def _hold_back(self, turn: Turn, speculation: Speculation, error: ConflictError) -> None:
        """What was launched is withheld after all, before the tool was called: it was in somebody's way."""
        cause = "claimed" if isinstance(error, ClaimedError) else str(error.facts.get("cause", "stuck"))
        effect_id = str(error.facts.get("effect_id", ""))
        speculation.called = False
        self._tell.withheld(turn, speculation.candidate, speculation.verdict, cause, effect_id=effect_id)
        self._retirer.retire(turn.session, speculation, cause)


def _silent(*_what: object, **_more: object) -> None:
    """Nobody is told a second time."""
