"""Undoing what lives in the journal's own database: a commit's answer is lost, or somebody was first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from specflow.clock import SystemClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.errors import JournalError
from specflow.execution.in_journal import InJournal
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.settlement.undo import Persistence
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

LEDGER = sa.Table(
    "ledger",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text),
)


class TableWorld(LedgerWorld):
    """Bookings and their cancellations are rows beside the journal's."""

    __slots__ = ()

    async def book(self, call: Call, context: CallContext) -> Any:
        context.transaction.execute(LEDGER.insert().values(kind="book"))
        return {"booking_id": context.idempotency_key, "seat": call.args["seat"]}

    async def cancel(self, call: Call, context: CallContext) -> Any:
        context.transaction.execute(LEDGER.insert().values(kind="cancel"))
        return {"status": "cancelled"}


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'journal.db'}"


@pytest.fixture
def core(tmp_path: Path) -> ScriptedCore:
    clock, world = SystemClock(), TableWorld()
    journal = SqlJournal.open(url_of(tmp_path), durability="process", clock=clock)
    LEDGER.create(sa.create_engine(url_of(tmp_path), poolclass=sa.NullPool))
    judge = world.judge(tolerant=False, verifiable=False, keyed=False, transaction="db", timeout=30.0)
    return ScriptedCore(world.tools(), judge, journal, clock=clock, persistence=Persistence(pause=0.0))


def kinds(folder: Path) -> list[str]:
    with sa.create_engine(url_of(folder), poolclass=sa.NullPool).connect() as connection:
        return list(connection.execute(sa.select(LEDGER.c.kind).order_by(LEDGER.c.id)).scalars())


async def retracted(core: ScriptedCore) -> Stage:
    """An early booking that nobody wants: what has become of it."""
    turn = core.begin()
    wrong = core.propose(turn, "book", seat="A1")
    await asyncio.wait({item.work for item in core.session.pending if item.work is not None})
    core.retract(turn, wrong)
    while core.session.undoing:
        await asyncio.wait(set(core.session.undoing))
    (row,) = (await core.journal.snapshot()).effects
    return row.stage


async def test_a_commit_whose_answer_is_lost_is_not_made_again(
    core: ScriptedCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undone, tries = InJournal.undone, []

    async def lost(self: InJournal, cause: str) -> bool:
        done = await undone(self, cause)
        tries.append(done)
        raise JournalError("the answer was lost")

    monkeypatch.setattr(InJournal, "undone", lost)
    assert await retracted(core) is Stage.COMPENSATED
    assert (tries, kinds(tmp_path)) == ([True], ["book", "cancel"])
    assert verify(await core.journal.snapshot()) == ()
    await core.journal.aclose()


async def test_what_somebody_else_has_settled_meanwhile_is_rolled_back_and_stays_as_it_is(
    core: ScriptedCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def beaten(self: InJournal, cause: str) -> bool:
        await self.give_up()
        assert await core.journal.move(
            self._lease, self._effect_id, Stage.COMPENSATING, Stage.STUCK, cause="operator"
        )
        return False

    monkeypatch.setattr(InJournal, "undone", beaten)
    assert await retracted(core) is Stage.STUCK
    assert kinds(tmp_path) == ["book"], "what the compensator had done is not kept"
    await core.journal.aclose()
