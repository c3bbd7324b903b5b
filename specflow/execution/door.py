"""The one place where a tool runs: the recorded outcome if there is one, else intent, act, outcome."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from specflow.clock import Clock
from specflow.effects.call import Call, digest
from specflow.effects.redaction import hide
from specflow.effects.tool import CallContext, Runner, ToolSpec
from specflow.errors import ConflictError, JournalError, SpecflowError
from specflow.execution.attempt import attempt
from specflow.execution.before_image import BeforeImages, Known, never_made
from specflow.execution.finish import finish
from specflow.execution.inside import inside, making
from specflow.execution.missed import Missed
from specflow.execution.outcome import recorded_value, success
from specflow.execution.plans import undo_plan, verify_plan
from specflow.identity import IdSource
from specflow.journal.port import Journal
from specflow.journal.record import EffectRow, Intent, Lease, Outcome
from specflow.lifecycle import Stage
from specflow.policy.settings import EARLY_TIMEOUT, ToolSettings
from specflow.policy.verdict import Verdict
from specflow.probe import reach
from specflow.sealing.sealed import Sealed, Subject, seal
from specflow.sealing.sealer import Sealer

log = logging.getLogger("specflow")

ControlFlow = Callable[[BaseException], bool]
"""Tells a framework's own control-flow exceptions (an interrupt) from failures of the tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One call to be made: what, under which verdict, how, and on whose behalf.

    `adopted_by` is the identity of the real call; None makes it an early one, under an open branch.
    `saga`: what its undo needs is read first, as the run may take it back. `claims` are the intent's.
    `preparing` surrounds what is waited for before the tool is called: there it may still be cancelled.
    `doubtful` hears the id of an effect of which it is not known whether it happened.
    """

    call: Call
    tool: ToolSpec
    settings: ToolSettings
    verdict: Verdict
    runner: Runner
    effect_id: str = ""
    branch_id: str = ""
    adopted_by: str | None = None
    hypothesis: str = "real"
    traceparent: str = ""
    saga: bool = False
    claims: tuple[str, ...] = ()
    preparing: Callable[[], AbstractContextManager[object]] = nullcontext
    doubtful: Callable[[str], None] = lambda _effect_id: None

    @property
    def early(self) -> bool:
        return self.adopted_by is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of an order. `replayed`: it was on record, and the tool was not called."""

    value: Any
    effect_id: str = ""
    replayed: bool = False


AGAIN = "~"
"""Between the identity of a real call and the number of its tries that failed (nothing had happened)."""


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
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._control_flow = control_flow
        self._images = images
        self._sealer = sealer
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
        if twin is not None:
            return await self.again(order, held, twin)
        return await self._write(order, held, adopted_by)

    async def _read(self, order: Order) -> Any:
        settings = order.settings
        within = settings.timeout or (EARLY_TIMEOUT if order.early else None)
        context = CallContext(early=order.early, deadline=self._deadline(within))
        return await attempt(
            order.runner,
            order.call,
            context,
            within=within,
            retries=settings.retries,
            backoff=settings.backoff,
            passing=self._control_flow,
        )

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
        settings = order.settings
        within = settings.timeout or (EARLY_TIMEOUT if order.early else None)
        effect_id = order.effect_id or self._ids.new("eff")
        key = digest("key", lease.session_id, adopted_by or effect_id)
        secrets = settings.redact
        hidden = hide("args", order.call.plain_args(), secrets)
        shown = hidden.shown if isinstance(hidden.shown, dict) else {}
        sealed: dict[str, Sealed] = {}
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
        intent = Intent(
            effect_id=effect_id,
            branch_id=order.branch_id or self._ids.new("br"),
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
            undo=None if image.missing else undo_plan(settings),
            verify=verify_plan(settings),
            call_deadline=self._clock.wall() + image.again + within if within is not None else None,
            reasons=(*reasons, f"no_before: {image.missing}") if image.missing else reasons,
            traceparent=order.traceparent,
            before=image.hidden.shown,
            before_known=image.known,
            sealed=sealed,
            claims=order.claims,
            inside=inside(),
        )
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
        return await self._act(order, lease, effect_id, key, within)

    async def again(self, order: Order, lease: Lease, twin: EffectRow) -> Done:
        """The same real call once more, after a try whose outcome is unknown: only by its own key.

        Raises:
            ConflictError: the tool takes no key.
            Exception: whatever the tool raised.
        """
        if not twin.keyed:
            raise ConflictError(
                f"{order.call.tool} was called before and whether it happened is unknown "
                f"(journal effect {twin.effect_id})",
                hint=f"settle it with: specflow journal resolve {twin.effect_id}",
                effect_id=twin.effect_id,
            )
        return await self._act(order, lease, twin.effect_id, twin.idem_key, order.settings.timeout)

    async def _act(self, order: Order, lease: Lease, effect_id: str, key: str, within: float | None) -> Done:
        settings = order.settings
        context = CallContext(
            idempotency_key=key,
            key_parameter=settings.idempotency_key,
            fence=lease.fence,
            deadline=self._deadline(within),
            early=order.early,
        )
        try:
            reach("call.before")
            value = await attempt(
                making(effect_id, order.runner),
                order.call,
                context,
                within=within,
                # Without a key a second try could be a second effect.
                retries=settings.retries if settings.idempotency_key else 0,
                backoff=settings.backoff,
                passing=self._control_flow,
            )
            reach("call.after")
        except BaseException as error:
            outcome = self._failure(order, error)
            if outcome.stage is Stage.UNKNOWN:
                order.doubtful(effect_id)
            await self._note_failure(lease, effect_id, outcome)
            raise
        subject = Subject(effect_id=effect_id, tool=order.tool.name, field="result")
        outcome = success(value, settings.redact, subject=subject, sealer=self._sealer)
        try:
            await finish(self.missed.record(lease, effect_id, outcome))
        except BaseException:
            order.doubtful(effect_id)  # it happened, and nobody was told what came of it
            raise
        reach("outcome.committed")
        return Done(value=value, effect_id=effect_id)

    async def _note_failure(self, lease: Lease, effect_id: str, outcome: Outcome) -> None:
        """Record how it failed; trouble with that must not hide the failure, a cancellation least of all."""
        try:
            await finish(self.missed.record(lease, effect_id, outcome))
        except SpecflowError as error:
            log.error("how effect %s ended is not on record: %s", effect_id, error)  # noqa: TRY400 - the world's fault, said in one line

    def _failure(self, order: Order, error: BaseException) -> Outcome:
        annotation = order.tool.annotation
        not_done = annotation is not None and isinstance(error, annotation.not_done)
        # An interrupt means that the framework will run the body again from its first line.
        certain = not_done or self._control_flow(error)
        text = type(error).__name__
        if not order.settings.redact:
            # An error may quote what the call was given.
            text = f"{text}: {error}"[:2000]
        return Outcome(stage=Stage.FAILED if certain else Stage.UNKNOWN, error=text)

    def _deadline(self, within: float | None) -> float | None:
        return None if within is None else self._clock.monotonic() + within
