"""What an adversary of settlement found: undos that nobody could place, orphans that nobody owned."""

from __future__ import annotations

import asyncio
from typing import Any

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import SessionRow
from specflow.journal.verify import verify
from specflow.lifecycle import SessionState, Stage
from specflow.settlement.recover import recover
from specflow.settlement.undo import Persistence
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def core_of(world: LedgerWorld, **options: Any) -> ScriptedCore:
    judge = options.pop("judge", None) or world.judge()
    core = ScriptedCore(world.tools(), judge, MemoryJournal(LoopClock()), **options)
    object.__setattr__(core.parts, "traceparent", lambda _id: PARENT)
    return core


def test_an_undo_says_which_call_it_makes_and_where_it_came_from() -> None:
    async def body() -> None:
        core = core_of(LedgerWorld())
        turn = core.begin()
        core.propose(turn, "book", seat="A1")
        await asyncio.sleep(1.0)
        core.end(turn, [])
        await core.settle()
        (started,) = core.log.of(EventKind.COMPENSATION_STARTED)
        assert started.facts["traceparent"] == PARENT
        assert started.call is not None
        assert started.call.tool == "cancel"
        (row,) = (await core.journal.snapshot()).effects
        assert started.effect_id == row.effect_id
        assert started.thread == core.key.thread or started.session_id == row.session_id

    run(body(), seed=0)


def test_an_undo_that_cannot_even_begin_is_told_from_its_start() -> None:
    """Nobody may undo it here: it is stuck at once, and the span has a beginning too."""

    async def body() -> None:
        world = LedgerWorld()
        core = core_of(world, persistence=Persistence(tries=1))
        turn = core.begin()
        core.propose(turn, "book", seat="A1")
        await asyncio.sleep(1.0)
        del core.parts.registry._tools["cancel"]
        core.end(turn, [])
        await core.settle()
        (started,) = core.log.of(EventKind.COMPENSATION_STARTED)
        (ended,) = core.log.of(EventKind.COMPENSATION_ENDED)
        assert started.facts["traceparent"] == PARENT
        assert (started.effect_id, ended.outcome) == (ended.effect_id, "stuck")
        assert core.log.events.index(started) < core.log.events.index(ended)
        assert started.call == Call(tool="cancel", args={"booking": (await _row(core)).idem_key})

    run(body(), seed=0)


async def _row(core: ScriptedCore) -> Any:
    (row,) = (await core.journal.snapshot()).effects
    return row


def test_recovery_takes_what_its_own_process_lost() -> None:
    """The owner lives, but nobody works with the session any more: its event loop has ended."""

    async def body() -> None:
        world = LedgerWorld()
        core = core_of(world, owner="me")
        turn = core.begin()
        core.propose(turn, "book", seat="A1")
        await asyncio.sleep(1.0)
        kept = await recover(core.journal, core.settler, owner="me")
        assert (kept.held, kept.recovered) == (1, 0)
        lost = core.session.session_id

        def orphaned(session: SessionRow) -> bool:
            return session.session_id == lost

        report = await recover(core.journal, core.settler, owner="me", orphaned=orphaned)
        assert (report.recovered, report.compensated) == (1, 1)
        assert world.seats == {}
        snapshot = await core.journal.snapshot()
        assert verify(snapshot) == ()
        assert {row.state for row in snapshot.sessions} == {SessionState.CLOSED}
        assert {row.stage for row in snapshot.effects} == {Stage.COMPENSATED}

    run(body(), seed=0)
