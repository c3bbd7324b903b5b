"""The one place where a tool runs: the recorded outcome if there is one, else intent, act, outcome."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from specflow.clock import Clock
from specflow.effects.call import digest
from specflow.effects.redaction import hide
from specflow.effects.tool import CallContext, Runner
from specflow.errors import ConflictError, FencedError, JournalError, SpecflowError
from specflow.execution.attempt import Within, attempt
from specflow.execution.before_image import BeforeImages, Known, never_made
from specflow.execution.finish import finish
from specflow.execution.in_journal import InJournal
from specflow.execution.inside import inside, making
from specflow.execution.missed import Missed
from specflow.execution.order import Done, Order
from specflow.execution.outcome import failure, recorded_value, success
from specflow.execution.plans import undo_plan, verify_plan
from specflow.execution.repetition import repeat
from specflow.execution.time_allowed import (
    OnRecord,
    TooLateError,
    left,
    limit,
    retries_of,
    seconds_of,
    travelling,
)
from specflow.identity import IdSource
from specflow.journal.port import Journal
from specflow.journal.record import AGAIN, EffectRow, Intent, Lease, Outcome
from specflow.lifecycle import Stage
from specflow.probe import reach
from specflow.sealing.sealed import Sealed, Subject, seal
from specflow.sealing.sealer import Sealer

log = logging.getLogger("specflow")

ControlFlow = Callable[[BaseException], bool]
"""Tells a framework's own control-flow exceptions (an interrupt) from failures of the tool."""


class Door:
    """Runs tools. A call that may change the world is in the journal before it is made."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        ids: IdSource,
        *,
        control_flow: ControlFlow = lambda _error: False,
        images: BeforeImages,
        sealer: Sealer | None = None,
        took: Callable[[str, float], None] = lambda _tool, _seconds: None,
    ) -> None:
        """`took` hears how many seconds each call that returned has taken, by the tool's name."""
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self.steers = control_flow
        self._images = images
        self._sealer = sealer
        self._took = took
        self.missed = Missed(journal)

    def recorded(self, row: EffectRow) -> Any:
        """The value on record; raises ConflictError when there is none that could be handed out again."""
        return recorded_value(row, self._sealer)

    async def run(self, order: Order, lease: Callable[[], Awaitable[Lease]]) -> Done:
        """Make the call and return its value.

        `lease` is asked for only when the journal is needed.

        Raises:
            BeforeImageError: an early call whose undo could not put back what was there before it.
            ConflictError: an earlier try of this very call has an unknown outcome.
            ClaimedError: an effect of another session holds what it claims; the tool was not called.
            JournalError: the intent could not be written; the tool was not called.
            Exception: whatever the tool raised.
        """
        if not order.verdict.effect.writes:
            return Done(value=await self._read(order))
        adopted_by, twin = await self._on_record(order)
        if twin is not None and twin.effect_id in self.missed:
            await self.missed.catch_up(await lease())
            adopted_by, twin = await self._on_record(order)
        if twin is not None and twin.stage is not Stage.UNKNOWN:
            return Done(value=self.recorded(twin), effect_id=twin.effect_id, replayed=True)
        held = await lease()
        if twin is None:
            return await self._write(order, held, adopted_by)
        done = await self.again(order, held, twin)
        # It was found out meanwhile that it did not happen: the next try has a row of its own.
        return await self.run(order, lease) if done is None else done

    async def _read(self, order: Order) -> Any:
        within = limit(order)
        context = CallContext(early=order.early, deadline=self._deadline(within))
        patience, retries = order.patience or within, order.settings.retries
        return await self._attempt(order, order.runner, context, patience, retries)

    async def _attempt(
        self, order: Order, runner: Runner, context: CallContext, within: Within, retries: int
    ) -> Any:
        started, passing, backoff = self._clock.monotonic(), self.steers, order.settings.backoff
        value = await attempt(
            runner, order.call, context, within=within, retries=retries, backoff=backoff, passing=passing
        )
        self._took(order.tool.name, self._clock.monotonic() - started)
        return value

    async def _on_record(self, order: Order) -> tuple[str | None, EffectRow | None]:
        """The identity for a new row, and the row of an earlier try that settles or blocks this one.

        A failed try (nothing happened) is neither adopted nor replayed: the next one has its own row.
        """
        if order.adopted_by is None:
            return None, None
        identity, tries = order.adopted_by, 0
        while True:
            row = await self._journal.adopted(identity)
            if row is None:
                return identity, None
            if row.stage is not Stage.FAILED:
                return identity, row
            tries += 1
            # The call is still to be read off it, when a resumed run asks what its checkpoint knows.
            identity = f"{order.adopted_by}{AGAIN}{tries}"

    async def _write(self, order: Order, lease: Lease, adopted_by: str | None) -> Done:
        settings, secrets = order.settings, order.settings.redact
        effect_id = order.effect_id or self._ids.new("eff")
        key = digest("key", lease.session_id, adopted_by or effect_id)
        hidden = hide("args", order.call.plain_args(), secrets)
        shown, sealed = hidden.shown if isinstance(hidden.shown, dict) else {}, dict[str, Sealed]()
        if secrets:
            subject = Subject(effect_id=effect_id, tool=order.tool.name, field="args")
            sealed["args"] = seal(self._sealer, subject, shown, hidden.places, hidden.values)
        known = Known(call=order.call, key=key, hidden=hidden)
        with order.preparing():
            image = await self._images.of(settings.undo, known, early=order.early, saga=order.saga)
        if image.known:
            subject = Subject(effect_id=effect_id, tool=order.tool.name, field="before")
            sealed["before"] = image.seal(self._sealer, subject)
        reasons = tuple(f"{reason.code}: {reason.message}" for reason in order.verdict.reasons)
        until = self._clock.wall() + travelling(seconds_of(order)) + image.again
        intent = Intent(
            effect_id=effect_id,
            branch_id=order.branch_id or self._ids.new("br"),
            parent_id=order.parent_id,
            tool=order.tool.name,
            schema_hash=order.tool.schema_hash,
            policy_hash=order.verdict.policy_hash,
            effect=order.verdict.effect,
            fingerprint=order.call.fingerprint,
            # INVARIANT: what the policy redacts reaches the database sealed, or not at all.
            args=shown,
            redacted=bool(secrets),
            idem_key=key,
            keyed=bool(settings.idempotency_key),
            hypothesis=order.hypothesis,
            adopted_by=adopted_by,
            moment=order.moment,
            undo=None if image.missing else undo_plan(settings),
            verify=verify_plan(settings),
            call_deadline=None if limit(order) is None else until,
            reasons=(*reasons, f"no_before: {image.missing}") if image.missing else reasons,
            traceparent=order.traceparent,
            before=image.hidden.shown,
            before_known=image.known,
            sealed=sealed,
            claims=order.claims,
            inside=inside(),
            consent=order.consent,
        )
        intent = order.amends.of(intent) if order.amends else intent
        reach("intent.before")
        try:
            await finish(self._journal.intend(lease, intent))
        except (asyncio.CancelledError, JournalError) as error:
            if not (isinstance(error, JournalError) and error.facts.get("conflict")):
                # The commit may have been made and its answer lost: found like that, it could be called.
                await self._note_failure(lease, effect_id, never_made(error))
            raise
        reach("intent.committed")
        try:
            with order.preparing():
                await self._images.check(settings.undo, known, image)
        except BaseException as error:
            await self._note_failure(lease, effect_id, never_made(error))
            raise
        return await self._act(order, lease, effect_id, key, OnRecord(until=until))

    async def again(self, order: Order, lease: Lease, twin: EffectRow) -> Done | None:
        """The same real call once more, after a try whose outcome is unknown: only by its own key.

        None: somebody has found out meanwhile that it did not happen, and it was not called.

        Raises:
            ConflictError: the tool takes no key, or somebody else is at it.
            FencedError: the session is somebody else's by now; the tool was not called.
            Exception: whatever the tool raised.
        """
        if not twin.keyed:
            raise ConflictError(
                f"{order.call.tool} was called before and whether it happened is unknown "
                f"(journal effect {twin.effect_id})",
                hint=f"settle it with: specflow journal resolve {twin.effect_id}",
                effect_id=twin.effect_id,
            )
        seconds = seconds_of(order)
        try:
            on_record = await repeat(self._journal, self._clock, lease, twin, seconds=seconds)
        except (asyncio.CancelledError, JournalError) as error:
            if not isinstance(error, FencedError):
                # As with an intent: the commit may have been made, and nobody is about to call it.
                idle = Outcome(stage=Stage.UNKNOWN, error=twin.error)
                await self._note_failure(lease, twin.effect_id, idle, rev=twin.rev + 1)
            raise
        if on_record is not None:
            return await self._act(order, lease, twin.effect_id, twin.idem_key, on_record)
        row = await self._journal.effect(twin.effect_id) or twin
        if row.stage is Stage.FAILED:
            return None
        return Done(value=self.recorded(row), effect_id=row.effect_id, replayed=True)

    async def _act(self, order: Order, lease: Lease, effect_id: str, key: str, on_record: OnRecord) -> Done:
        settings, runner = order.settings, order.runner
        local: InJournal | None = None
        if settings.transaction:
            parameter = settings.transaction
            runner = local = InJournal(self._journal, lease, effect_id, runner, parameter=parameter)
        try:
            within = left(order, on_record, self._clock)
            context = CallContext(
                idempotency_key=key,
                key_parameter=settings.idempotency_key,
                fence=lease.fence,
                deadline=self._deadline(within),
                early=order.early,
            )
            reach("call.before")
            value = await self._attempt(order, making(effect_id, runner), context, within, retries_of(order))
            reach("call.after")
        except BaseException as error:
            if local is not None:
                await local.give_up()
            outcome = self._failure(order, error, on_record, rolled_back=local is not None)
            if outcome.stage is Stage.UNKNOWN:
                order.doubtful(effect_id)
            await self._note_failure(lease, effect_id, outcome, rev=on_record.rev)
            raise
        about = Subject(effect_id=effect_id, tool=order.tool.name, field="result")
        outcome = success(value, settings.redact, subject=about, sealer=self._sealer)
        try:
            if local is None:
                await finish(self.missed.record(lease, effect_id, outcome))
            else:
                await finish(local.record(outcome, self.missed))
        except BaseException as error:
            if local is None or not local.certain or not isinstance(error, SpecflowError):
                order.doubtful(effect_id)  # it happened, and nobody was told what came of it
            raise
        reach("outcome.committed")
        return Done(value=value, effect_id=effect_id)

    async def _note_failure(
        self, lease: Lease, effect_id: str, outcome: Outcome, *, rev: int | None = None
    ) -> None:
        """Record how it failed; trouble with that must not hide the failure, a cancellation least of all."""
        try:
            await finish(self.missed.record(lease, effect_id, outcome, rev=rev))
        except SpecflowError as error:
            log.error("how effect %s ended is not on record: %s", effect_id, error)  # noqa: TRY400 - the world's fault, said in one line

    def _failure(
        self, order: Order, error: BaseException, on_record: OnRecord, *, rolled_back: bool
    ) -> Outcome:
        annotation = order.tool.annotation
        not_done = annotation is not None and isinstance(error, annotation.not_done)
        # An interrupt means that the framework will run the body again from its first line. It says nothing
        # of an earlier try.
        nothing = not on_record.again and (self.steers(error) or isinstance(error, TooLateError))
        return failure(error, certain=rolled_back or not_done or nothing, quiet=bool(order.settings.redact))

    def _deadline(self, within: float | None) -> float | None:
        return None if within is None else self._clock.monotonic() + within
