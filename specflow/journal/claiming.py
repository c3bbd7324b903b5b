"""Claims in the database: looked at, and written, in the transaction of the intent.

On SQLite nobody else writes meanwhile. On PostgreSQL two transactions could each look before the other
has committed, so the keys are locked first (advisory locks, to the end of the transaction), all those of a
batch at once, in one order everywhere, and before any row is locked: so nobody who waits for one of them
has anything that its holder could be waiting for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any

from specflow.effects.claim import ALL, covering, tool_claim
from specflow.errors import ClaimedError, JournalError
from specflow.journal.claims import SHARED, Holder, Wanted
from specflow.journal.record import Intent
from specflow.journal.transaction import Transaction
from specflow.lifecycle import BranchState, Stage

MOST_LOCKS = 128
"""Locks of one transaction; the server's table of them is limited. Who needs more takes the one for all."""


PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0, 1.0, 1.0, 1.0)
"""Seconds between tries of an intent whose locks were not to be had."""

LOCK_SECONDS = 1.0
"""How long the writer waits for a lock: who has one for longer was stopped in the middle of a commit."""

_NOT_AVAILABLE = ("55P03", "40P01")
"""What PostgreSQL calls a lock that was waited for too long, or in a circle."""


class BusyClaimError(ClaimedError):
    """The locks were not to be had: nobody knows yet. The journal asks again; this never leaves it."""

    code = "busy_claim"


def lock(tx: Transaction, wants: Iterable[Wanted]) -> None:
    """Keep every other transaction away from these claims, and from what covers them, to our end.

    Raises:
        Exception: the driver's, for which `is_busy` says whether it waited too long. The transaction is void.
    """
    statement, order = tx.statements.lock_claims, locks(one for want in wants for one in want.claims)
    if statement is not None and order:
        tx.fetch(statement, {**_given(order), "patience": f"{LOCK_SECONDS * 1000:.0f}ms"})


def try_lock(tx: Transaction, wants: Iterable[Wanted]) -> None:
    """The same without waiting: `is_locked` then says for each whether its locks were to be had."""
    statement, order = tx.statements.try_claims, locks(one for want in wants for one in want.claims)
    assert statement is not None  # only there does anybody wait
    tx.claims_busy = frozenset(key for (key,) in tx.fetch(statement, _given(order)))


def is_locked(tx: Transaction, want: Wanted) -> bool:
    """Whether what `want` claims may be looked at and written in this transaction."""
    # The one lock for all is among them, should the batch have taken that.
    return tx.claims_busy.isdisjoint(key for key, _alone in locks(want.claims))


def _given(order: Sequence[tuple[int, bool]]) -> dict[str, object]:
    return {"keys": [key for key, _alone in order], "alone": [alone for _key, alone in order]}


def is_busy(error: Exception) -> bool:
    """Whether somebody else had the lock for too long."""
    return getattr(error, "sqlstate", None) in _NOT_AVAILABLE


def locks(claims: Iterable[str]) -> list[tuple[int, bool]]:
    """The locks for these claims, as (number, whether alone), in the order in which everybody takes them.

    A claim is locked against everybody, what covers it against those who claim all of that.
    """
    mine = set(claims)
    above = {pattern for one in mine for pattern in covering(one)} - mine
    if len(mine) + len(above) > MOST_LOCKS:
        mine, above = {ALL}, set()
    alone = dict.fromkeys(map(_number, above), False) | dict.fromkeys(map(_number, mine), True)
    return sorted(alone.items())


def _number(claim: str) -> int:
    return int.from_bytes(sha256(f"specflow claim {claim}".encode()).digest()[:8], "big", signed=True)


def held(tx: Transaction, wants: Iterable[Wanted]) -> list[Holder]:
    """The live claims that may stand in the way, of all sessions."""
    named: set[str] = set()
    patterns: set[str] = set()
    for want in wants:
        named |= want.named
        patterns.update(want.patterns)
    statements = tx.statements
    found = list(tx.fetch(statements.claims_named, {"resources": statements.listed(sorted(named))}))
    for pattern in sorted(patterns):
        head = pattern.removesuffix(ALL)
        found += tx.fetch(statements.claims_below, {"head": head, "size": len(head)})
    return [
        Holder(
            resource=resource,
            effect_id=effect_id,
            session_id=session_id,
            tenant=tenant,
            tool=tool,
            stage=Stage(stage),
            branch=BranchState(branch),
        )
        for resource, effect_id, session_id, tenant, tool, stage, branch in found
    ]


async def patiently(ask: Callable[[], Awaitable[Any]], intent: Intent) -> Any:
    """The answer to an intent, asked for again while its locks are not to be had.

    Raises:
        JournalError: whoever has them does not end.
        Exception: what `ask` raises.
    """
    for pause in PAUSES:
        try:
            return await ask()
        except BusyClaimError:
            await asyncio.sleep(pause)
    raise JournalError(
        f"the journal cannot look at what {intent.tool} claims: another process has it locked",
        hint="find it in pg_stat_activity; nothing was written, and the call must not be made",
        effect_id=intent.effect_id,
    )


def hold_tool(tx: Transaction, effect_id: str) -> None:
    """Nobody knows what the effect has done: where it claims nothing, it holds all of its tool."""
    for (tool,) in tx.fetch(tx.statements.unclaimed, {"w_effect_id": effect_id}):
        row = {"effect_id": effect_id, "resource": tool_claim(tool), "mode": SHARED}
        tx.run(tx.statements.insert_claim, row)
