"""The ledger in a table of the journal's own database: each call is one commit with its outcome.

Nothing in it minds being done twice: it would show.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.journal.record import Snapshot
from specflow.lifecycle import HAPPENED, Stage
from specflow.settlement.undo import Persistence
from specflow.testing.inline_journal import InlineSqlJournal
from specflow.testing.proof import LoopOrZero, Mortal, Stand, Watched
from specflow.testing.scripted_core import ScriptedCore

LEDGER = sa.Table(
    "ledger",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text),
    sa.Column("seat", sa.Text),
    sa.Column("key", sa.Text),
)


@dataclass(slots=True)
class TablesWorld(Watched):
    """Books and cancels in `LEDGER`. Latencies are spent before the first statement, and again after it."""

    async def book(self, call: Call, context: CallContext) -> Any:
        seat, key = call.args["seat"], context.idempotency_key
        self.calls.append((seat, key))
        await self._enter("book")
        context.transaction.execute(LEDGER.insert().values(kind="book", seat=seat, key=key))
        await asyncio.sleep(self.latency.get("book", 0.0))
        self._leave("book")
        return {"booking_id": key, "seat": seat}

    async def cancel(self, call: Call, context: CallContext) -> Any:
        key = call.args["booking"]
        self.undos.append((key, context.idempotency_key))
        await self._enter("cancel")
        context.transaction.execute(LEDGER.insert().values(kind="cancel", seat="", key=key))
        await asyncio.sleep(self.latency.get("cancel", 0.0))
        self._leave("cancel")
        return {"status": "cancelled"}

    def read_back(self, engine: sa.Engine) -> None:
        """What is in the table now; nothing else counts."""
        with engine.connect() as connection:
            entries = connection.execute(sa.select(LEDGER).order_by(LEDGER.c.id)).all()
        self.bookings.clear()
        self.log.clear()
        for _, kind, seat, key in entries:
            assert (kind == "book") is (key not in self.bookings), f"{kind} {key}: once, and undone once"
            self.bookings[key] = seat if kind == "book" else ""
            self.log.append((kind, seat, key))


@dataclass(slots=True)
class TablesStand(Stand):
    """A stand on a real SQLite file, with the user's table beside the journal's. Use it `with`."""

    folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    engine: sa.Engine = field(init=False)

    def __post_init__(self) -> None:
        path = Path(self.folder.name) / "journal.db"
        self.engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
        journal: Any = InlineSqlJournal(path, clock=LoopOrZero(), is_dead=lambda owner: owner in self.dead)
        self.journal = journal
        LEDGER.create(self.engine)
        self.offers = {"tolerant": False, "verifiable": False, "keyed": False, "transaction": "db"}
        self.anew()

    def anew(self) -> None:
        """Begin with empty tables and a fresh world: quicker than a file for each run."""
        self.journal.empty()  # type: ignore[attr-defined] # the one on a file has it
        with self.engine.begin() as connection:
            connection.execute(LEDGER.delete())
        self.dead.clear()
        self.world = TablesWorld(latency=self.latency, journal=self.journal)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.journal.close()  # type: ignore[attr-defined] # the one on a file has it
        self.folder.cleanup()

    def core(
        self, owner: str, *, mortal: Mortal | None = None, seed: int = 0, tries: int = 3
    ) -> ScriptedCore:
        persistence = Persistence(tries=tries, pause=0.1)
        judge = self.world.judge(**self.offers)
        return ScriptedCore(
            self.world.tools(), judge, mortal or self.journal, owner=owner, seed=seed, persistence=persistence
        )

    async def agrees(self) -> Snapshot:
        """At any moment: what the rows call done is in the table, and nothing else."""
        rows = await self.journal.snapshot()
        world = self.world
        assert isinstance(world, TablesWorld)
        world.read_back(self.engine)
        there = {key for key, seat in world.bookings.items() if seat}
        done = {row.idem_key for row in rows.effects if row.stage in HAPPENED - {Stage.COMPENSATED}}
        assert there == done, "effect and outcome are one"
        assert not any(row.stage is Stage.UNKNOWN for row in rows.effects), "nothing is unknown"
        return rows

    async def at_rest(self, *, stuck: int = 0) -> Snapshot:
        await self.agrees()
        # Named: `super()` without arguments does not work in a class with slots.
        return await Stand.at_rest(self, stuck=stuck)
