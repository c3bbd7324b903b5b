"""Claims in the database: looked at, and written, in the transaction of the intent.

On SQLite nobody else writes meanwhile. On PostgreSQL two transactions could each look before the other
has committed, so the keys are locked first (advisory locks, to the end of the transaction), all those of a
batch at once, in one order everywhere, and before any row is locked: so nobody who waits for one of them
has anything that its holder could be waiting for.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from specflow.effects.claim import ALL, covering, tool_claim
from specflow.journal.claims import SHARED, Holder, Wanted
from specflow.journal.transaction import Transaction
from specflow.lifecycle import BranchState, Stage

MOST_LOCKS = 128
"""Locks of one transaction; the server's table of them is limited. Who needs more takes the one for all."""


def lock(tx: Transaction, wants: Iterable[Wanted]) -> None:
    """Keep every other transaction away from these claims, and from what covers them, to our end."""
    statement = tx.statements.lock_claims
    if statement is None:
        return
    order = locks(one for want in wants for one in want.claims)
    if order:
        keys, alone = zip(*order, strict=True)
        tx.fetch(statement, {"keys": list(keys), "alone": list(alone)})


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


def hold_tool(tx: Transaction, effect_id: str) -> None:
    """Nobody knows what the effect has done: where it claims nothing, it holds all of its tool."""
    for (tool,) in tx.fetch(tx.statements.unclaimed, {"w_effect_id": effect_id}):
        row = {"effect_id": effect_id, "resource": tool_claim(tool), "mode": SHARED}
        tx.run(tx.statements.insert_claim, row)
