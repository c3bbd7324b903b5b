"""What the crash matrix kills: a run that books early, thinks better of it, books again, and books for real.

The bookings are lines in a file, written by the same process that dies (or rows beside the journal's, where
the way is `local`); the journal is SQLite or PostgreSQL.
A `way` says what the booking service offers and what the next process does:

* `tolerant`: the undo also bears that nothing happened; `flaky`: and its first answers are errors;
* `verified`: it can be asked whether a booking happened; `bare`: it offers nothing, so `stuck` is honest;
* `keyed`: a lost real booking is repeated under its own key;
* `local`: bookings are rows in the journal's own database, each in one commit with its outcome;
* `resumed` before one of these: the next process goes on with the conversation, and asks for the same calls;
* `saga` before one of these: the run fails as a whole, and takes back what it committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from specflow.clock import SystemClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.errors import ConflictError, SpecflowError
from specflow.journal import database as databases
from specflow.journal import sql
from specflow.journal.record import Snapshot
from specflow.journal.rules import SAGA_ABORTED
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.lifecycle import RESTING, SessionState, Stage
from specflow.settlement.undo import Persistence
from specflow.testing.inline_journal import TABLES
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

REAL = {"B2": "m1 c0", "C3": "m2 c0"}
"""The seats that the real run asks for, and the identities of those calls."""

FILE = "journal.db"
_template: dict[str, bytes] = {}

_compiled: dict[str, Any] = {}


def _once(module: Any, name: str) -> None:
    """Compiling the statements takes longer than a trial: once for all that are forked, not once in each."""
    compile_all = getattr(module, name)
    setattr(module, name, lambda what: _compiled.setdefault(name, None) or _keep(name, compile_all(what)))


def _keep(name: str, made: Any) -> Any:
    _compiled[name] = made
    return made


_once(databases, "Statements")
_once(sql, "Queries")


class AnswerLostError(Exception):
    """The service did what it was asked, and its answer was lost."""


class LateClock(SystemClock):
    """The system's clock, some seconds ahead: whoever asks after a call need not wait for its deadline."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead

    def wall(self) -> float:
        return super().wall() + self.ahead


class FileWorld(LedgerWorld):
    """The ledger in a file: every change is one appended line, on disk before the call returns."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for kind, subject, key in map(json.loads, lines):
            self.log.append((kind, subject, key))
            if kind == "book":
                self.bookings[key] = subject
            if kind == "cancel":
                self.bookings[key] = ""
            if kind == "tombstone":
                self.tombstones.add(key)

    def _append(self, *entry: str) -> None:
        handle = os.open(self.path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(handle, json.dumps(entry).encode() + b"\n")
        os.close(handle)

    async def book(self, call: Call, context: CallContext) -> Any:
        self._append("called", call.args["seat"], context.idempotency_key)
        known = len(self.log)
        answer = await super().book(call, context)
        for entry in self.log[known:]:
            self._append(*entry)
        if call.args["seat"] == "D4":
            raise AnswerLostError("and nobody hears of it")
        return answer

    async def cancel(self, call: Call, context: CallContext) -> Any:
        known = len(self.log)
        try:
            return await super().cancel(call, context)
        finally:
            for entry in self.log[known:]:
                self._append(*entry)
            self._append("tombstone", "", call.args["booking"])
            self._append("undo", call.args["booking"], context.idempotency_key)


class TableWorld(FileWorld):
    """The ledger in a table of the journal's database. Nothing in it minds being done twice: it would show.

    Lines in the file say what was called, whether or not it was kept.
    """

    __slots__ = ()

    def __init__(self, path: Path, url: str) -> None:
        super().__init__(path)
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            entries = connection.execute(sa.select(LEDGER).order_by(LEDGER.c.id)).all()
        for _, kind, seat, key in entries:
            self.log.append((kind, seat, key))
            assert (kind == "book") is (key not in self.bookings), "once, and undone once"
            self.bookings[key] = seat if kind == "book" else ""

    async def book(self, call: Call, context: CallContext) -> Any:
        seat, key = call.args["seat"], context.idempotency_key
        self._append("called", seat, key)
        context.transaction.execute(LEDGER.insert().values(kind="book", seat=seat, key=key))
        if seat == "D4":
            raise AnswerLostError("and what was done is rolled back")
        return {"booking_id": key, "seat": seat}

    async def cancel(self, call: Call, context: CallContext) -> Any:
        key = call.args["booking"]
        self._append("undo", key, context.idempotency_key)
        context.transaction.execute(LEDGER.insert().values(kind="cancel", seat="", key=key))
        return {"status": "cancelled"}


LEDGER = sa.Table(
    "ledger",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text),
    sa.Column("seat", sa.Text),
    sa.Column("key", sa.Text),
)
"""The user's own table, in the journal's database."""


def world_of(folder: Path, way: str, store: str) -> FileWorld:
    path = folder / "world"
    return TableWorld(path, where(folder, store)) if way.endswith("local") else FileWorld(path)


def where(folder: Path, store: str) -> str:
    return f"sqlite:///{folder / FILE}" if store == "sqlite" else os.environ["CRASH_POSTGRES"]


def _processes_before(folder: Path) -> int:
    count = folder / "processes"
    with count.open("ab") as file:
        file.write(b".")
    return count.stat().st_size - 1


def core_of(folder: Path, owner: str, *, seed: int, way: str, store: str, durability: Any) -> ScriptedCore:
    world = world_of(folder, way, store)
    offers = way.rsplit(maxsplit=1)[-1]
    if offers == "flaky":
        world.before["cancel"] = [OSError("not now")]
        world.failing["cancel"] = [AnswerLostError("lost")]
    # Each process begins when whatever an earlier one had called can be under way no longer.
    clock = LateClock(300.0 * _processes_before(folder))
    journal = SqlJournal.open(
        where(folder, store), durability=durability, is_dead=lambda name: name != owner, clock=clock
    )
    judge = world.judge(
        tolerant=offers in {"tolerant", "flaky"},
        verifiable=offers == "verified",
        keyed=offers not in {"bare", "local"},
        transaction="db" if offers == "local" else "",
        timeout=30.0,
    )
    return ScriptedCore(
        world.tools(),
        judge,
        journal,
        owner=owner,
        seed=seed,
        clock=clock,
        persistence=Persistence(pause=0.0),
    )


def prepare(way: str, store: str = "sqlite", durability: str = "process") -> None:
    """One whole life in this process, so that every child finds everything compiled and a journal made."""
    if store == "postgres":
        os.environ["CRASH_POSTGRES"] = _own_database(os.environ["CRASH_POSTGRES"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if store == "sqlite":
            SqlJournal.open(where(folder, store)).close()
            _make_ledger(where(folder, store))
            _template[FILE] = (folder / FILE).read_bytes()
        _live(folder, way, store, durability)
        recover(folder, way, store, durability)
        check(folder)


def _make_ledger(url: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    LEDGER.create(engine)


def _own_database(url: str) -> str:
    """One for this server: several share the trials."""
    source, name = sa.make_url(url), f"crash_{os.getpid()}"
    engine = sa.create_engine(
        source.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {source.database}")
    own = source.set(database=name).render_as_string(hide_password=False)
    _make_ledger(own)
    return own


def run(folder: Path, way: str, store: str = "sqlite", durability: str = "process") -> None:
    if store == "sqlite":
        (folder / FILE).write_bytes(_template[FILE])
    _live(folder, way, store, durability)


def _live(folder: Path, way: str, store: str, durability: str) -> None:
    if store != "sqlite":
        empty(where(folder, store))
    core = core_of(folder, "first", seed=1, way=way, store=store, durability=durability)
    asyncio.run(_run(core, saga=way.startswith("saga")))


def empty(url: str) -> None:
    """Every trial begins with empty tables; they all share the one database."""
    connection = databases.Database(url).connect()
    try:
        tx = connection.begin(0.0)
        for table in (*TABLES, LEDGER.name):
            tx.raw(f"DELETE FROM {table}")
        connection.commit()
    finally:
        connection.close()


async def _run(core: ScriptedCore, *, saga: bool) -> None:
    turn = core.begin()
    wrong = core.propose(turn, "book", seat="A1")
    await _finished(core)
    core.retract(turn, wrong)
    await _undone(core)
    core.propose(turn, "book", seat="D4")
    await _finished(core)
    right = core.propose(turn, "book", seat="B2")
    await _finished(core)
    clock = core.parts.clock
    assert isinstance(clock, LateClock)
    clock.ahead += 60.0
    core.end(turn, [right])
    await _undone(core)
    for seat, identity in REAL.items():
        await core.call(Call(tool="book", args={"seat": seat}), identity=identity)
    if saga:
        clock.ahead += 60.0
        await core.coordinator.take_back(core.session)
    else:
        await core.settle()
    await core.journal.aclose()


async def _finished(core: ScriptedCore) -> None:
    await asyncio.wait({item.work for item in core.session.pending if item.work is not None})


async def _undone(core: ScriptedCore) -> None:
    while core.session.undoing:
        await asyncio.wait(set(core.session.undoing))


def recover(folder: Path, way: str, store: str = "sqlite", durability: str = "process") -> None:
    """What the next process does; one that is let through judges as well, which saves a process."""
    owner = f"recovery {os.getpid()}"
    core = core_of(folder, owner, seed=os.getpid(), way=way, store=store, durability=durability)
    asyncio.run(_recover(core, folder, owner, way, store))


async def recover_all(core: ScriptedCore, owner: str) -> None:
    """Recover until nobody holds anything: a busy server takes a moment to notice that a process is gone, and
    until then its lock says that it lives.
    """
    async with asyncio.timeout(30):
        while (await core.recover(owner=owner)).held:
            await asyncio.sleep(0.05)


async def _recover(core: ScriptedCore, folder: Path, owner: str, way: str, store: str) -> None:
    if way.startswith("resumed"):
        for seat, identity in REAL.items():
            # What nobody can find out is in the way of its own repetition, and says so.
            with contextlib.suppress(ConflictError):
                answer = await core.call(Call(tool="book", args={"seat": seat}), identity=identity)
                assert answer["seat"] == seat
        with contextlib.suppress(SpecflowError):
            await core.settle()
    await recover_all(core, owner)
    before = await core.journal.snapshot()
    again = await core.recover(owner=owner)
    after = await core.journal.snapshot()
    await core.journal.aclose()
    assert (again.recovered, again.held) == (0, 0), "everything was recovered"
    assert replace(after, predictions=()) == replace(before, predictions=()), "I12: once more changes nothing"
    judge_rows(after, stuck_allowed=way.endswith(("bare", "keyed")))
    judge_world(world_of(folder, way, store), after, way)
    (folder / "judged").touch()


def check(folder: Path, **_args: str) -> None:
    assert (folder / "judged").exists()


def judge_rows(rows: Snapshot, *, stuck_allowed: bool) -> None:
    assert verify(rows) == ()
    assert all(row.state is SessionState.CLOSED for row in rows.sessions)
    assert all(row.stage in RESTING for row in rows.effects), [row.stage for row in rows.effects]
    stuck = [row for row in rows.effects if row.stage is Stage.STUCK]
    assert stuck_allowed or not stuck, [row.error for row in stuck]


def judge_world(world: FileWorld, rows: Snapshot, way: str) -> None:
    by_key = {row.idem_key: row for row in rows.effects}
    called = [key for kind, _, key in world.log if kind == "called"]
    assert set(called) <= set(by_key), "I1: what was called was intended"
    if not way.endswith(("keyed", "tolerant", "flaky")):
        assert len(called) == len(set(called)), "what has no key in use is called at most once"
    kept = {key: row.args["seat"] for key, row in by_key.items() if row.stage is Stage.COMMITTED}
    unsure = {key for key, row in by_key.items() if row.stage is Stage.STUCK}
    stands = {key: seat for key, seat in world.bookings.items() if seat and key not in unsure}
    assert stands == kept, "a booking stands if and only if the real run took it or made it"
    taken = [row.args["seat"] for row in rows.effects if row.stage in {Stage.COMMITTED, Stage.STUCK}]
    for seat in REAL:
        assert taken.count(seat) <= 1, "one real call has one effect"
        if way.startswith("resumed") and not way.endswith(("bare", "keyed")):
            assert seat in taken, "the run went on to its end"
    if any(row.decision == SAGA_ABORTED for row in rows.sessions):
        assert not kept, "what the saga took back is gone"
    undone = [key for kind, _, key in world.log if kind == "cancel"]
    assert len(undone) == len(set(undone)), "I6: nothing is undone twice"
    keys: dict[str, set[str]] = {}
    for kind, booking, key in world.log:
        if kind == "undo":
            keys.setdefault(booking, set()).add(key)
    assert all(len(found) == 1 for found in keys.values()), "every try of an undo carries one key"
    assert {by_key[booking].comp_key for booking in keys} == {key for found in keys.values() for key in found}
    assert not any(by_key[booking].stage is Stage.COMMITTED for booking in keys), "I3: kept is kept"
