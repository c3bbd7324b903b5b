"""What the crash matrix kills: a run that books early, thinks better of it, books again, and books for real.

The bookings are lines in a file, written by the same process that dies; the journal is a SQLite file.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from specflow.clock import SystemClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.lifecycle import RESTING, Stage
from specflow.settlement.undo import Persistence
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore


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
        known = len(self.log)
        answer = await super().book(call, context)
        for entry in self.log[known:]:
            self._append(*entry)
        return answer

    async def cancel(self, call: Call, context: CallContext) -> Any:
        known = len(self.log)
        answer = await super().cancel(call, context)
        for entry in self.log[known:]:
            self._append(*entry)
        self._append("tombstone", "", call.args["booking"])
        return answer


def core_of(folder: Path, owner: str, *, seed: int, way: str, durability: Any) -> ScriptedCore:
    world = FileWorld(folder / "world")
    journal = SqlJournal.open(
        f"sqlite:///{folder / 'journal.db'}", durability=durability, is_dead=lambda name: name != owner
    )
    return ScriptedCore(
        world.tools(),
        # Short: who asks whether a booking happened waits until it can no longer arrive.
        world.judge(tolerant=way != "verify", verifiable=way == "verify", timeout=0.1),
        journal,
        owner=owner,
        seed=seed,
        clock=SystemClock(),
        persistence=Persistence(pause=0.0),
    )


def run(folder: Path, way: str = "", durability: str = "process") -> None:
    asyncio.run(_run(core_of(folder, "first", seed=1, way=way, durability=durability)))


async def _run(core: ScriptedCore) -> None:
    turn = core.begin()
    wrong = core.propose(turn, "book", seat="A1")
    await _finished(core)
    core.retract(turn, wrong)
    while core.session.undoing:
        await asyncio.sleep(0.001)
    right = core.propose(turn, "book", seat="B2")
    await _finished(core)
    core.end(turn, [right])
    await core.call(right, identity="m1 c0")
    await core.call(Call(tool="book", args={"seat": "C3"}), identity="m2 c0")
    await core.settle()
    await core.journal.aclose()


async def _finished(core: ScriptedCore) -> None:
    await asyncio.wait({item.work for item in core.session.pending if item.work is not None})


def recover(folder: Path, way: str = "", durability: str = "process") -> None:
    owner = f"recovery {os.getpid()}"
    asyncio.run(_recover(core_of(folder, owner, seed=os.getpid(), way=way, durability=durability), owner))


async def _recover(core: ScriptedCore, owner: str) -> None:
    await core.recover(owner=owner)
    await core.journal.aclose()


def check(folder: Path, way: str = "", durability: str = "process") -> None:
    asyncio.run(_check(folder))


async def _check(folder: Path) -> None:
    world = FileWorld(folder / "world")
    journal = SqlJournal.open(f"sqlite:///{folder / 'journal.db'}")
    snapshot = await journal.snapshot()
    await journal.aclose()
    assert verify(snapshot) == ()
    assert all(row.stage in RESTING for row in snapshot.effects), [row.stage for row in snapshot.effects]
    assert not any(row.stage is Stage.STUCK for row in snapshot.effects)
    kept = {row.idem_key: row.args["seat"] for row in snapshot.effects if row.stage is Stage.COMMITTED}
    stands = {key: seat for key, seat in world.bookings.items() if seat}
    assert stands == kept, "a booking stands if and only if the real run took it or made it"
    undone = [key for kind, _, key in world.log if kind == "cancel"]
    assert len(undone) == len(set(undone)), "nothing is undone twice"
