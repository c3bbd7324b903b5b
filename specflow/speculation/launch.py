"""JUDGED, INTENDED, EXECUTED: from a proposed call to work that is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from specflow.effects.claim import claims
from specflow.effects.footprint import Keys, keys, overlap
from specflow.errors import ClaimedError, ConflictError
from specflow.execution.door import Done, Order
from specflow.journal.event import EventKind
from specflow.journal.record import EffectRow
from specflow.policy.settings import ToolSettings
from specflow.policy.verdict import Speculate, Verdict
from specflow.prediction.candidate import Candidate, Retraction
from specflow.speculation.gate import obstacle
from specflow.speculation.ground import await_ground, ground
from specflow.speculation.match import match_key, normalised
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.pending import Speculation
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session
from specflow.speculation.tell import Teller
from specflow.speculation.turn import Turn


class Launcher:
    """Starts what the policy allows and the gate finds worth it."""

    def __init__(self, parts: Parts, tell: Teller, retirer: Retirer) -> None:
        self._parts = parts
        self._tell = tell
        self._retirer = retirer

    def consider(self, turn: Turn, candidate: Candidate) -> None:
        """Judge a proposed call, and start it or say why not."""
        parts, session = self._parts, turn.session
        turn.proposed += 1
        tool = parts.registry.get(candidate.call.tool)
        if tool is not None:
            # As the real call will be: without what is not the model's to choose.
            candidate = replace(candidate, call=tool.call(candidate.call.args))
        call = candidate.call
        self._tell.proposed(turn, candidate)
        if tool is None or tool.runner is None or tool.problems(call.args):
            return self._tell.withheld(turn, candidate, None, "invalid")
        settings = parts.judge.settings(tool)
        if tool.injected:
            # It depends on state that only the real run has.
            return self._tell.withheld(turn, candidate, None, "injected")
        verdict = parts.judge.judge(tool, call, context=parts.context, tainted=candidate.tainted)
        key = match_key(call, settings.match, writes=verdict.effect.writes)
        known = session.pending.first(key)
        if known is not None:
            known.supporters.add(candidate.predictor)
            return self._tell.withheld(turn, candidate, verdict, "duplicate")
        footprint = footprint_of(settings, call.args, verdict)
        cause = self._reason_to_wait(turn, candidate, settings, verdict, footprint)
        if cause:
            effect_id = session.switched_off.by(call.tool) if cause == "stuck" else ""
            return self._tell.withheld(turn, candidate, verdict, cause, effect_id)
        return self._launch(
            turn,
            Speculation(
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
                claims=claims_of(settings, call.args) if verdict.effect.writes else (),
                needs=self._ground(turn, candidate, settings, verdict, footprint) or (),
            ),
        )

    def withdraw(self, turn: Turn, retraction: Retraction) -> None:
        """A predictor takes a call back; without other supporters its work ends."""
        tool = self._parts.registry.get(retraction.call.tool)
        call = tool.call(retraction.call.args) if tool is not None else retraction.call
        for speculation in turn.session.pending:
            same = speculation.turn_id == turn.turn_id and speculation.call == call
            if same and retraction.predictor in speculation.supporters:
                speculation.supporters.discard(retraction.predictor)
                if not speculation.supporters:
                    self._retirer.retire(turn.session, speculation, f"retracted: {retraction.reason}")

    def _reason_to_wait(
        self, turn: Turn, candidate: Candidate, settings: ToolSettings, verdict: Verdict, footprint: Keys
    ) -> str:
        session = turn.session
        if session.closing:
            return "closing"
        if verdict.speculate is not Speculate.NOW:
            return "policy"
        if verdict.predictors is not None and candidate.predictor not in verdict.predictors:
            return "predictor"
        if verdict.effect.writes:
            barred = self._reason_not_to_write(session, candidate, settings, footprint)
            if barred:
                return barred
            if self._ground(turn, candidate, settings, verdict, footprint) is None:
                return "conflict"
        barred = obstacle(
            candidate,
            verdict,
            settings,
            self._parts.judge.budgets,
            running=(item for item in session.pending if item.running),
            launched_in_turn=turn.launched,
            wasted_usd=session.wasted_usd,
        )
        return barred or ("mode" if self._parts.mode is Mode.SHADOW else "")

    def _reason_not_to_write(
        self, session: Session, candidate: Candidate, settings: ToolSettings, footprint: Keys
    ) -> str:
        if settings.undo is None:
            return "no_undo"
        # Before the session has asked, what was known in the one before may be settled by now.
        if session.switches_read and session.switched_off.by(candidate.call.tool):
            return "stuck"
        # Nothing that may still be undone may meet a real call in flight, nor what is being undone.
        others = [item.footprint for item in session.claimed if item.writes]
        lost = [item.footprint for item in session.not_undone]
        nearby = (*others, *session.in_flight, *session.undoing.values(), *lost)
        return "conflict" if any(overlap(footprint, other) for other in nearby) else ""

    @staticmethod
    def _ground(
        turn: Turn, candidate: Candidate, settings: ToolSettings, verdict: Verdict, footprint: Keys
    ) -> tuple[Speculation, ...] | None:
        """What a write would build on: the early writes that claim the same. None: it must wait for them."""
        if not verdict.effect.writes:
            return ()
        return ground(turn.session.pending, turn.lane, footprint, claims_of(settings, candidate.call.args))

    def _launch(self, turn: Turn, speculation: Speculation) -> None:
        session = turn.session
        turn.launched += 1
        session.pending.register(speculation)
        for base in speculation.needs:
            base.dependents.append(speculation)
        self._retirer.began(session, speculation)
        self._tell.of(EventKind.LAUNCHED, session, speculation)
        speculation.work = asyncio.get_running_loop().create_task(
            self._run_early(turn, speculation), context=turn.spawn.copy()
        )
        speculation.work.add_done_callback(_seen)

    async def _run_early(self, turn: Turn, speculation: Speculation) -> Done:
        runner = speculation.tool.runner
        assert runner is not None
        parts, session = self._parts, turn.session
        outcome, error_text = "cancelled", ""
        try:
            await session.ready()
            if speculation.writes:
                await self._check_switch(session, speculation)
                with speculation.prepared():
                    await await_ground(speculation)
            self._tell.of(EventKind.RUN_STARTED, session, speculation)
            order = Order(
                call=speculation.call,
                tool=speculation.tool,
                settings=speculation.settings,
                verdict=speculation.verdict,
                runner=runner,
                effect_id=speculation.effect_id,
                branch_id=speculation.branch_id,
                hypothesis=f"next call, by {speculation.candidate.predictor}",
                traceparent=parts.traceparent(speculation.speculation_id),
                claims=speculation.claims,
                preparing=speculation.prepared,
            )
            with parts.surround(speculation.speculation_id):
                done = await parts.door.run(order, session.lease)
            outcome = "ok"
        except ConflictError as error:
            outcome, error_text = "withheld", f"{type(error).__name__}: {error}"
            self._hold_back(turn, speculation, error)
            raise
        except Exception as error:
            outcome, error_text = "error", f"{type(error).__name__}: {error}"
            raise
        finally:
            speculation.finished = parts.clock.monotonic()
            self._tell.of(EventKind.RUN_ENDED, session, speculation, outcome=outcome, error=error_text)
        return done

    async def _check_switch(self, session: Session, speculation: Speculation) -> None:
        """Once the journal has been asked: nothing is written early that this run has done already (its
        checkpoint was lost), nor over it, and nothing of a tool of which something is stuck.

        Raises:
            ConflictError: that is so.
        """
        below = session.orphans.meeting(
            lambda row: overlap(speculation.footprint, written_by(self._parts, row))
        )
        if below or session.orphans.holds(speculation.call.fingerprint):
            raise ConflictError(
                f"{speculation.call.tool} is on record as done in this run", cause="on_record"
            )
        await session.read_switches()
        tool = speculation.tool.name
        effect_id = session.switched_off.by(tool)
        if effect_id:
            raise ConflictError(
                f"{tool} is not called early while one of its effects is stuck (journal effect {effect_id})",
                hint=f"settle it with: specflow journal resolve {effect_id}",
                effect_id=effect_id,
            )

    def _hold_back(self, turn: Turn, speculation: Speculation, error: ConflictError) -> None:
        """What was launched is withheld after all, before the tool was called: it was in somebody's way."""
        cause = "claimed" if isinstance(error, ClaimedError) else str(error.facts.get("cause", "stuck"))
        effect_id = str(error.facts.get("effect_id", ""))
        speculation.called = False
        self._tell.withheld(turn, speculation.candidate, speculation.verdict, cause, effect_id)
        self._retirer.retire(turn.session, speculation, cause)


def claims_of(settings: ToolSettings, args: Mapping[str, Any]) -> tuple[str, ...]:
    """What a write claims in the journal, of arguments in their normal form like its footprint."""
    return claims(settings.writes, _normal(settings, args), settings.redact)


def footprint_of(settings: ToolSettings, args: Mapping[str, Any], verdict: Verdict) -> Keys:
    """What a call touches: for a write what it writes and reads, for a read what it reads.

    Of arguments in their normal form: what counts as the same call must touch the same things.
    """
    args = _normal(settings, args)
    reads = keys(settings.reads, args)
    if not verdict.effect.writes:
        return reads
    writes = keys(settings.writes, args)
    if writes is None:
        return None
    return writes | (reads or frozenset())


def written_by(parts: Parts, row: EffectRow) -> Keys:
    """What an effect on record has written, as far as that can be told here."""
    tool = parts.registry.get(row.tool)
    if tool is None or row.redacted:
        return None
    settings = parts.judge.settings(tool)
    return keys(settings.writes, _normal(settings, row.args))


def _normal(settings: ToolSettings, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return normalised(args, settings.match) if settings.match.mode != "exact" else args


def _seen(work: asyncio.Task[Done]) -> None:
    # Retrieved here, so that asyncio does not report a failed guess that nobody adopted.
    if not work.cancelled():
        work.exception()
