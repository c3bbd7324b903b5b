"""Taking one effect back: journaled like an effect, repeated under its own key, then stuck and shown."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from specflow.clock import Clock
from specflow.effects.call import Call, digest
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import SpecflowError
from specflow.execution.attempt import attempt
from specflow.execution.finish import finish
from specflow.execution.in_journal import InJournal
from specflow.journal.cover import base_of
from specflow.journal.event import CallEvent, EventKind, Observers
from specflow.journal.port import Journal
from specflow.journal.record import EffectRow, Lease, UndoPlan
from specflow.lifecycle import Stage
from specflow.policy.settings import Expression
from specflow.probe import reach
from specflow.sealing.sealer import Sealer
from specflow.settlement.recorded import Recorded, told

Compile = Callable[[str], Expression]
"""Compiles the stored text of a mapping or condition; raises SpecflowError when it cannot."""

UNDO_TIMEOUT = 30.0
"""Seconds one try of a compensator may take, when nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persistence:
    """How often and how patiently an undo is tried. Times in seconds."""

    tries: int = 4
    pause: float = 0.2
    longest_pause: float = 5.0


class Undoer:
    """Runs compensators. Only a registered tool that is declared to undo this very tool is ever run."""

    def __init__(
        self,
        journal: Journal,
        registry: ToolRegistry,
        clock: Clock,
        compile_text: Compile,
        *,
        observers: Observers,
        compensates: Callable[[str, str], bool],
        key_parameter: Callable[[ToolSpec], str],
        transaction_parameter: Callable[[ToolSpec], str] = lambda _tool: "",
        persistence: Persistence | None = None,
        jitter: random.Random | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._clock = clock
        self._compile = compile_text
        self._observers = observers
        self._compensates = compensates
        self._key_parameter = key_parameter
        self._transaction_parameter = transaction_parameter
        self._persistence = persistence or Persistence()
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._sealer = sealer

    async def undo(self, lease: Lease, row: EffectRow, *, cause: str, speculation_id: str = "") -> Stage:
        """Bring a done, unknown, stuck or compensating effect to compensated or stuck; returns which.

        Whoever else of this event loop is at it already is waited for, and not repeated.
        """
        # INVARIANT: a compensator is not called beside itself: not every one bears that, whatever its key.
        other = self._under_way.get(row.effect_id)
        if other is not None and other.get_loop() is asyncio.get_running_loop():
            await asyncio.wait({other})
            return await self._as_it_is(row)
        mine = self._under_way[row.effect_id] = asyncio.get_running_loop().create_future()
        try:
            return await self._undo(lease, row, cause=cause, speculation_id=speculation_id)
        finally:
            self._under_way.pop(row.effect_id, None)
            mine.set_result(None)

    async def _undo(self, lease: Lease, row: EffectRow, *, cause: str, speculation_id: str) -> Stage:
        if base_of(row.undo):
            return await self._cover(lease, row)
        started = self._clock.monotonic()
        comp_key = row.comp_key or digest("undo", row.idem_key)
        recorded = Recorded(row, self._sealer)
        shown: Call | None = None
        try:
            call, secret = self._undo_call(row, recorded)
            # INVARIANT: only the compensator itself is given the secrets that its call holds.
            shown, sealed = recorded.undo_to_record(call, secret)
            spec = self._compensator(row)
        except SpecflowError as error:
            self._began(row, speculation_id, shown, cause)
            return await self._stuck(lease, row, str(error), speculation_id=speculation_id, started=started)
        if not await self._journal.move(
            lease,
            row.effect_id,
            row.stage,
            Stage.COMPENSATING,
            cause=cause,
            comp_key=comp_key,
            comp_args=shown.plain_args(),
            comp_sealed=sealed,
        ):
            return await self._as_it_is(row)
        reach("undo.intended")
        self._began(row, speculation_id, shown, cause)
        error_text = await self._try(lease, row, spec, call, comp_key, cause=cause, secret=bool(secret))
        if error_text:
            return await self._stuck(
                lease,
                row,
                error_text,
                speculation_id=speculation_id,
                started=started,
                source=Stage.COMPENSATING,
            )
        going, gone = Stage.COMPENSATING, Stage.COMPENSATED
        local = bool(self._transaction_parameter(spec))
        written = not local and await self._journal.move(lease, row.effect_id, going, gone, cause=cause)
        if not written and (now := await self._as_it_is(row)) is not gone:
            return now  # somebody else has settled it, and what was done here is rolled back
        reach("undo.committed")
        self._ended(row, speculation_id, "compensated", "", started)
        return Stage.COMPENSATED

    async def _cover(self, lease: Lease, row: EffectRow) -> Stage:
        """A patch is taken back by the undo of its base, which waits for this: nothing is called here."""
        cause = f"covered by {base_of(row.undo)}"
        if row.stage is not Stage.COMPENSATING:
            await self._journal.move(lease, row.effect_id, row.stage, Stage.COMPENSATING, cause=cause)
            reach("cover.intended")
        await self._journal.move(lease, row.effect_id, Stage.COMPENSATING, Stage.COMPENSATED, cause=cause)
        reach("cover.committed")
        return await self._as_it_is(row)

    async def _try(
        self,
        lease: Lease,
        row: EffectRow,
        spec: ToolSpec,
        call: Call,
        comp_key: str,
        *,
        cause: str,
        secret: bool,
    ) -> str:
        """Call the compensator until it succeeds; returns why it did not, empty when it did."""
        plan = row.undo
        assert plan is not None
        assert spec.runner is not None
        persistence = self._persistence
        local, parameter = None, self._transaction_parameter(spec)
        if parameter:
            local = InJournal(self._journal, lease, row.effect_id, spec.runner, parameter=parameter)
        context = CallContext(
            idempotency_key=comp_key,
            key_parameter=self._key_parameter(spec),
            fence=lease.fence,
            compensating=True,
        )
        reason = ""
        for number in range(persistence.tries):
            if number:
                pause = min(persistence.pause * 2 ** (number - 1), persistence.longest_pause)
                await asyncio.sleep(pause * self._jitter.uniform(0.5, 1.0))
                # Each further try is on record before it is made.
                again = await self._journal.move(
                    lease,
                    row.effect_id,
                    Stage.COMPENSATING,
                    Stage.COMPENSATING,
                    cause="retry",
                    error=reason,
                )
                if not again:
                    return ""  # somebody has settled it; or it was committed, and only the answer was lost
            try:
                answer = await attempt(local or spec.runner, call, context, within=UNDO_TIMEOUT)
                reach("undo.called")
                reason = self._judge_answer(plan, row, answer, comp_key)
                if local is not None and not reason:
                    # Not done: whoever has moved it has undone it, and this is rolled back.
                    await finish(local.undone(cause))
            except Exception as error:  # noqa: BLE001 - whatever a compensator raises is a failed try
                reason = told(error, secret=secret)
            finally:
                if local is not None:
                    await local.give_up()
            if not reason:
                return ""
        return f"{spec.name} did not undo it in {persistence.tries} tries: {reason}"

    def _undo_call(self, row: EffectRow, recorded: Recorded) -> tuple[Call, frozenset[str]]:
        """The call that takes it back, and which of its arguments hold secrets."""
        plan = row.undo
        if plan is None:
            raise SpecflowError(f"{row.tool} has no compensator on record")
        if row.comp_args is not None:
            return recorded.undo_as_recorded(plan.tool)
        texts = {parameter: self._compile(text) for parameter, text in plan.arguments.items()}
        return recorded.call(plan.tool, texts)

    def _compensator(self, row: EffectRow) -> ToolSpec:
        assert row.undo is not None
        spec = self._registry.require(row.undo.tool)
        if not self._compensates(row.tool, row.undo.tool):
            raise SpecflowError(f"{row.undo.tool} is not declared to undo {row.tool}")
        if spec.runner is None:
            raise SpecflowError(f"{row.undo.tool} cannot be run in this process")
        return spec

    def _judge_answer(self, plan: UndoPlan, row: EffectRow, answer: Any, comp_key: str) -> str:
        if not plan.succeeded_when:
            return ""
        try:
            recorded = Recorded(row, self._sealer)
            verdict = recorded.evaluate(self._compile(plan.succeeded_when), result=answer, key=comp_key)
        except SpecflowError as error:
            return f"whether {plan.tool} succeeded cannot be told: {error}"
        return "" if verdict is True else f"{plan.tool} answered, but not that it succeeded"

    async def _stuck(
        self,
        lease: Lease,
        row: EffectRow,
        reason: str,
        *,
        speculation_id: str,
        started: float,
        source: Stage | None = None,
    ) -> Stage:
        stage = source or row.stage
        if stage in {Stage.DONE, Stage.COMMITTED}:
            # Only what is being compensated, or unknown, can be stuck: say first that it was to be undone.
            await self._journal.move(lease, row.effect_id, stage, Stage.COMPENSATING, cause="undo")
            stage = Stage.COMPENSATING
        if stage is not Stage.STUCK:
            await self._journal.move(lease, row.effect_id, stage, Stage.STUCK, cause="undo", error=reason)
        self._ended(row, speculation_id, "stuck", reason, started)
        return Stage.STUCK

    async def _as_it_is(self, row: EffectRow) -> Stage:
        now = await self._journal.effect(row.effect_id)
        return now.stage if now is not None else row.stage

    def _began(self, row: EffectRow, speculation_id: str, call: Call | None, cause: str) -> None:
        # The header joins the undo to the call it undoes, which another process may have made.
        facts = {"traceparent": row.traceparent} if row.traceparent else {}
        self._see(EventKind.COMPENSATION_STARTED, row, speculation_id, call=call, cause=cause, facts=facts)

    def _ended(self, row: EffectRow, speculation_id: str, outcome: str, error: str, started: float) -> None:
        seconds = self._clock.monotonic() - started
        self._see(
            EventKind.COMPENSATION_ENDED,
            row,
            speculation_id,
            outcome=outcome,
            error=error,
            facts={"seconds": seconds},
        )

    def _see(self, kind: EventKind, row: EffectRow, speculation_id: str, **facts: Any) -> None:
        self._observers.see(
            CallEvent(
                kind=kind,
                at=self._clock.monotonic(),
                session_id=row.session_id,
                effect_id=row.effect_id,
                speculation_id=speculation_id,
                **facts,
            )
        )
