"""What the crash matrix kills: a run that books twice for the wrong guest, and renames one and not the other.

The bookings are lines in a file, written by the same process that dies; the journal is SQLite or PostgreSQL.
The booking service is not kind: a rename that arrives after the cancellation books anew. A `way` says what
happens then:

* `plain`: the next process only recovers; `resumed`: it goes on, and asks for the same calls;
* `saga`: the run fails as a whole, and takes back what it committed.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from crash_booking_scenario import (
    FILE,
    AnswerLostError,
    LateClock,
    _own_database,
    _processes_before,
    _template,
    empty,
    recover_all,
    where,
)

from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.journal.cover import base_of
from specflow.journal.record import Snapshot
from specflow.journal.rules import SAGA_ABORTED
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.lifecycle import RESTING, SessionState, Stage
from specflow.settlement.undo import Persistence
from specflow.testing.guest_world import GuestWorld
from specflow.testing.scripted_core import ScriptedCore

REAL = (("12", "m1 c0"), ("13", "m2 c0"))
"""The rooms that the real run wants for Bob, and these calls' identities; of 13 the rename gets lost."""


class FileWorld(GuestWorld):
    """Bookings in a file: every change is one appended line, on disk before the call returns."""

    __slots__ = ("clock", "path")

    def __init__(self, path: Path, clock: LateClock) -> None:
        super().__init__()
        self.path, self.clock = path, clock
        for tool, booking, what in map(json.loads, path.read_text().splitlines() if path.exists() else []):
            self.bookings[booking] = tuple(what.split())
            self.log.append((tool, booking, what))

    def _set(self, tool: str, booking: str, value: tuple[str, ...]) -> None:
        handle = os.open(self.path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(handle, json.dumps([tool, booking, " ".join(value)]).encode() + b"\n")
        os.close(handle)
        # Named: `super()` without arguments does not work in a class with slots.
        GuestWorld._set(self, tool, booking, value)

    async def rename(self, call: Call, context: CallContext) -> Any:
        answer = await GuestWorld.rename(self, call, context)
        if self.bookings[call.args["booking"]][0] == "13":
            self.clock.ahead += 60.0  # nobody has to wait until it cannot arrive any more
            raise AnswerLostError("and nobody hears of it")
        return answer


def core_of(folder: Path, owner: str, *, seed: int, store: str, durability: Any) -> ScriptedCore:
    # Each process begins when whatever an earlier one had called can be under way no longer.
    clock = LateClock(300.0 * _processes_before(folder))
    world = FileWorld(folder / "world", clock)
    journal = SqlJournal.open(
        where(folder, store), durability=durability, is_dead=lambda name: name != owner, clock=clock
    )
    return ScriptedCore(
        world.tools(),
        world.policy(),
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
            _template[FILE] = (folder / FILE).read_bytes()
        run(folder, way, store, durability)
        recover(folder, way, store, durability)


def run(folder: Path, way: str, store: str = "sqlite", durability: str = "process") -> None:
    if store == "sqlite":
        (folder / FILE).write_bytes(_template[FILE])
    if store != "sqlite":
        empty(where(folder, store))
    asyncio.run(_run(core_of(folder, "first", seed=1, store=store, durability=durability), way))


async def _run(core: ScriptedCore, way: str) -> None:
    for room, identity in REAL:
        turn = core.begin()
        core.propose(turn, "book", room=room, guest="Ann")
        await asyncio.wait({item.work for item in core.session.pending if item.work is not None})
        core.end(turn, [Call(tool="book", args={"room": room, "guest": "Bob"})])
        await _ask(core, room, identity)
    if way == "saga":
        await core.take_back()
    else:
        await core.settle()
    await core.journal.aclose()


async def _ask(core: ScriptedCore, room: str, identity: str) -> None:
    answer = await core.call(Call(tool="book", args={"room": room, "guest": "Bob"}), identity=identity)
    assert (answer["room"], answer["guest"]) == (room, "Bob"), "never what was booked for somebody else"


def recover(folder: Path, way: str, store: str = "sqlite", durability: str = "process") -> None:
    owner = f"recovery {os.getpid()}"
    core = core_of(folder, owner, seed=os.getpid(), store=store, durability=durability)
    rows = asyncio.run(_recover(core, owner, way))
    judge(FileWorld(folder / "world", LateClock()), rows, way)
    (folder / "judged").touch()


async def _recover(core: ScriptedCore, owner: str, way: str) -> Snapshot:
    if way == "resumed":
        for room, identity in REAL:
            await _ask(core, room, identity)
        await core.settle()
    await recover_all(core, owner)
    before = await core.journal.snapshot()
    again = await core.recover(owner=owner)
    after = await core.journal.snapshot()
    await core.journal.aclose()
    assert (again.recovered, again.held) == (0, 0), "everything was recovered"
    assert replace(after, predictions=()) == replace(before, predictions=()), "I12: once more changes nothing"
    return after


def check(folder: Path, **_args: str) -> None:
    """Whoever is let through has judged: that saves a process."""
    assert (folder / "judged").exists()


def judge(world: FileWorld, rows: Snapshot, way: str) -> None:
    assert verify(rows) == ()
    assert all(row.state is SessionState.CLOSED for row in rows.sessions)
    assert all(row.stage in RESTING - {Stage.STUCK} for row in rows.effects), [r.error for r in rows.effects]
    patches = {base_of(row.undo): row for row in rows.effects if row.stage is Stage.COMMITTED}
    expected = {}
    for row in rows.effects:
        if row.tool == "book" and row.stage is Stage.COMMITTED:
            patch = patches.get(row.effect_id, row)
            assert patch.stage is Stage.COMMITTED, "both, or neither"
            expected[row.idem_key] = (row.args["room"], patch.args["guest"])
    assert {key: value for key, value in world.bookings.items() if value} == expected
    assert all(guest == "Bob" for _, guest in expected.values())
    assert max(Counter(room for room, _ in expected.values()).values(), default=0) <= 1, (
        "one call, one booking"
    )
    if way == "resumed":
        assert world.rooms == [("12", "Bob"), ("13", "Bob")], "the run went on to its end"
    if any(row.decision == SAGA_ABORTED for row in rows.sessions):
        assert not expected, "what the saga took back is gone"
    cancelled: set[str] = set()
    for tool, booking, _ in world.log:
        assert booking not in cancelled, f"{tool} after the undo"
        if tool == "cancel":
            cancelled.add(booking)
