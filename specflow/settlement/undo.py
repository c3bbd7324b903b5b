"""Taking one effect back: journaled like an effect, repeated under its own key, then stuck and shown."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from specflow.clock import Clock
from specflow.effects.call import Call, digest
from specflow.effects.redaction import HIDDEN
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import SpecflowError
from specflow.execution.attempt import attempt
from specflow.journal.event import CallEvent, EventKind, Observers
from specflow.journal.port import Journal
from specflow.journal.record import EffectRow, Lease, UndoPlan
from specflow.lifecycle import Stage
from specflow.policy.settings import Expression
from specflow.probe import reach

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
        persistence: Persistence | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._clock = clock
        self._compile = compile_text
        self._observers = observers
        self._compensates = compensates
        self._key_parameter = key_parameter
        self._persistence = persistence or Persistence()
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads retries, guards nothing

    async def undo(self, lease: Lease, row: EffectRow, *, cause: str, speculation_id: str = "") -> Stage:
        """Bring a done, unknown, stuck or compensating effect to compensated or stuck; returns which."""
        started = self._clock.monotonic()
        comp_key = row.comp_key or digest("undo", row.idem_key)
        call: Call | None = None
        try:
            call = self._undo_call(row, comp_key)
            spec = self._compensator(row)
        except SpecflowError as error:
            self._began(row, speculation_id, call, cause)
            return await self._stuck(lease, row, str(error), speculation_id=speculation_id, started=started)
        if not await self._journal.move(
            lease,
            row.effect_id,
            row.stage,
            Stage.COMPENSATING,
            cause=cause,
            comp_key=comp_key,
            comp_args=call.plain_args(),
        ):
            return await self._as_it_is(row)
        reach("undo.intended")
        self._began(row, speculation_id, call, cause)
        error_text = await self._try(lease, row, spec, call, comp_key)
        if error_text:
            return await self._stuck(
                lease,
                row,
                error_text,
                speculation_id=speculation_id,
                started=started,
                source=Stage.COMPENSATING,
            )
        await self._journal.move(lease, row.effect_id, Stage.COMPENSATING, Stage.COMPENSATED, cause=cause)
        reach("undo.committed")
        self._ended(row, speculation_id, "compensated", "", started)
        return Stage.COMPENSATED

    async def _try(self, lease: Lease, row: EffectRow, spec: ToolSpec, call: Call, comp_key: str) -> str:
        """Call the compensator until it succeeds; returns why it did not, empty when it did."""
        plan = row.undo
        assert plan is not None
        assert spec.runner is not None
        persistence = self._persistence
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
                await self._journal.move(
                    lease,
                    row.effect_id,
                    Stage.COMPENSATING,
                    Stage.COMPENSATING,
                    cause="retry",
                    error=reason,
                )
            try:
                answer = await attempt(spec.runner, call, context, within=UNDO_TIMEOUT)
                reach("undo.called")
                reason = self._judge_answer(plan, row, answer, comp_key)
            except Exception as error:  # noqa: BLE001 - whatever a compensator raises is a failed try
                reason = f"{type(error).__name__}: {error}"[:2000]
            if not reason:
                return ""
        return f"{spec.name} did not undo it in {persistence.tries} tries: {reason}"

    def _undo_call(self, row: EffectRow, comp_key: str) -> Call:
        plan = row.undo
        if plan is None:
            raise SpecflowError(f"{row.tool} has no compensator on record")
        if row.comp_args is not None:
            return Call(tool=plan.tool, args=row.comp_args)
        names = {**_before(row), "args": dict(row.args), "result": row.result, "key": row.idem_key}
        args = {parameter: self._evaluate(row, text, names) for parameter, text in plan.arguments.items()}
        call = Call(tool=plan.tool, args=args)
        refuse_hidden(call)
        return call

    def _evaluate(self, row: EffectRow, text: str, names: Mapping[str, Any]) -> Any:
        expression = self._compile(text)
        if "before" in expression.roots and not row.before_known:
            raise SpecflowError(f"what was there before {row.tool} was not read, so it cannot be put back")
        return expression.evaluate(names)

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
            names = {**_before(row), "args": dict(row.args), "result": answer, "key": comp_key}
            verdict = self._evaluate(row, plan.succeeded_when, names)
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


def _before(row: EffectRow) -> dict[str, Any]:
    return {"before": row.before} if row.before_known else {}


def refuse_hidden(call: Call) -> None:
    """A secret that was not stored cannot be sent: better stuck than called with its place-holder."""
    if HIDDEN in call.args_json:
        raise SpecflowError(f"{call.tool} needs what the policy has redacted")
