"""What people were asked, in the journal: asked once, and an answer counts only for what it was given to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langgraph.types import Interrupt

from specflow.effects.call import digest
from specflow.graph.again import Again
from specflow.graph.shown import Shown
from specflow.journal.approval import Approval, Consent
from specflow.journal.record import AGAIN
from specflow.lifecycle import ApprovalState, Stage
from specflow.speculation.parts import Parts

_MOST = 1_000
"""Interrupts of which it is remembered how they were raised: those of calls that share a task."""


class Questions:
    """One per runtime. Every method needs the journal only, and so may run on any loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._raised: dict[tuple[str, str], tuple[Interrupt[Any], ...]] = {}

    def consent(self, shown: Shown, interrupt_id: str, decision: str) -> Consent:
        """What the intent of the call is to use up."""
        return Consent(approval_id=self._id(shown, interrupt_id), decision=decision)

    async def put(
        self, shown: Shown, asked: Sequence[Interrupt[Any]], read: Callable[[], Awaitable[str]]
    ) -> tuple[tuple[Interrupt[Any], ...], bool]:
        """Put on record what is asked, before anybody sees it; what is returned is to be raised, and is ours.

        Calls that run in one task share its interrupt: the first one asks, and the others wait with it.
        `read` gives what is shown besides; a question that was put before stays as it is.
        """
        if not asked:
            return (), False
        parts, interrupt_id = self._parts, asked[0].id
        approval_id = self._id(shown, interrupt_id)
        standing = await parts.journal.approval(approval_id)
        if standing is None:
            text = shown.text(await read())
            self._remember((approval_id, shown.name), _saying(asked, text))
            now = parts.clock.wall()
            standing = await parts.journal.ask(
                Approval(
                    approval_id=approval_id,
                    tenant=parts.tenant,
                    thread=shown.thread,
                    interrupt_id=interrupt_id,
                    call_name=shown.name,
                    tool=shown.call.tool,
                    fingerprint=shown.call.fingerprint,
                    schema_hash=shown.schema_hash,
                    policy_hash=shown.policy_hash,
                    shown=text,
                    shown_hash=shown.hash(text),
                    asked_at=now,
                    expires_at=now + shown.within,
                )
            )
        if standing.call_name == shown.name:
            return _saying(asked, standing.shown), True
        return self._raised.get((approval_id, standing.call_name), ()), False

    async def uncovered(self, shown: Shown, interrupt_id: str, decision: str, identity: str) -> str:
        """Why this answer does not let the call of that identity run; empty: it does.

        An answer that does not count is void for good: it is asked again, under another interrupt.
        """
        row = await self._parts.journal.approval(self._id(shown, interrupt_id))
        if row is None or row.call_name != shown.name:
            return Again.OTHER_CALL if row else Again.NO_RECORD
        if row.state in {ApprovalState.VOID, ApprovalState.REFUSED}:
            return row.cause if row.state is ApprovalState.VOID else Again.ANSWERED
        if row.state is ApprovalState.USED:
            made, stands = await self._made(identity)
            if stands:
                return ""  # its outcome is on record, and is given back
            if not made:
                return Again.USED
        why = self._changed(row, shown)
        if why:
            now = self._parts.clock.wall()
            await self._parts.journal.decide(
                row.approval_id, ApprovalState.VOID, decision=decision, cause=why, at=now
            )
        return why

    async def refused(self, shown: Shown, interrupt_id: str, decision: str, why: str) -> str:
        """A no, or an answer in the tool's place: nothing runs, so it counts whatever has changed.

        Returns why it does not count all the same, or nothing.
        """
        journal = self._parts.journal
        row = await journal.approval(self._id(shown, interrupt_id))
        if row is not None and row.call_name != shown.name:
            return Again.OTHER_CALL
        if row is not None:
            now = self._parts.clock.wall()
            await journal.decide(row.approval_id, ApprovalState.REFUSED, decision=decision, cause=why, at=now)
        return ""

    def _id(self, shown: Shown, interrupt_id: str) -> str:
        return digest("approval", self._parts.tenant, shown.thread, interrupt_id)

    def _changed(self, row: Approval, shown: Shown) -> str:
        if row.tool != shown.call.tool or row.fingerprint != shown.call.fingerprint:
            return Again.ARGUMENTS
        if row.schema_hash != shown.schema_hash:
            return Again.SCHEMA
        if row.policy_hash != shown.policy_hash:
            return Again.POLICY
        if not shown.is_still(row.shown, row.shown_hash):
            return Again.SHOWN
        return Again.LATE if self._parts.clock.wall() > row.expires_at else ""

    async def _made(self, identity: str) -> tuple[bool, bool]:
        """Whether this very call was made before, and whether something came of it."""
        name, tries = identity, 0
        while (effect := await self._parts.journal.adopted(name)) is not None:
            if effect.stage is not Stage.FAILED:
                return True, True
            tries += 1
            name = f"{identity}{AGAIN}{tries}"
        return tries > 0, False

    def _remember(self, key: tuple[str, str], asked: tuple[Interrupt[Any], ...]) -> None:
        self._raised[key] = asked
        while len(self._raised) > _MOST:
            self._raised.pop(next(iter(self._raised)), None)


def _saying(asked: Sequence[Interrupt[Any]], text: str) -> tuple[Interrupt[Any], ...]:
    """The same interrupt, with this description."""
    first = asked[0]
    value = {**first.value, "description": text}
    return (Interrupt(value=value, id=first.id, response_schema=first.response_schema), *asked[1:])
