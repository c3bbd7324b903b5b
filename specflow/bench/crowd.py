"""Many sessions at once on one coordinator: nothing of a session may stay behind when it has ended."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from specflow.bench.told import Told
from specflow.clock import LoopClock, SystemClock
from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.identity import SeededIds
from specflow.journal.event import Observers
from specflow.journal.prune import prune
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import TurnContext
from specflow.speculation.adopt import RealCall
from specflow.speculation.assemble import assemble
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.session import SessionKey
from specflow.testing.at_their_word import AtTheirWord
from specflow.testing.inline_journal import TABLES, InlineSqlJournal
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.seeded_loop import SeededLoop

TURN_SECONDS, TOOL_SECONDS = 3.0, 2.0
LATER = Chunk(kind=ChunkKind.REASONING, text=".")
LONG_AFTER = 1e12
"""Seconds since the epoch: everything is old by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """What there is when a wave of sessions has ended. `busiest`: tasks at the most, in the midst of it.

    The wave took `seconds` of virtual time. `tasks` are left; `rows` were written, and `kept` are left of
    them after pruning. `blocks` are pieces of memory (`sys.getallocatedblocks`), `objects` what the
    collector knows.
    """

    sessions: int
    seconds: float
    busiest: int
    tasks: int
    rows: int
    kept: int
    blocks: int
    objects: int


class Crowd:
    """`at_once` sessions, each of which looks at a seat and, if it `books`, books it. Both are guessed right
    and, beside that, wrongly. Every tool takes `TOOL_SECONDS`, every turn `TURN_SECONDS`.
    """

    def __init__(self, journal: InlineSqlJournal, path: Path, *, at_once: int, books: bool) -> None:
        self.world = LedgerWorld(latency={"look": TOOL_SECONDS, "book": TOOL_SECONDS})
        self.registry = ToolRegistry(self.world.tools())
        self._told, self._path = Told(), path
        self._coordinator = Coordinator(
            assemble(
                registry=self.registry,
                judge=self.world.judge(),
                journal=journal,
                clock=LoopClock(),
                ids=SeededIds(0),
                observers=Observers([]),
                predictors=(self._told,),
                ensemble=AtTheirWord(),
                owner="crowd",
            )
        )
        self._at_once, self._steps = at_once, ("look", "book") if books else ("look",)
        self._number = 0

    async def waves(self, count: int) -> AsyncIterator[Footing]:
        """One wave of sessions after another, and what is left of each."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            started = loop.time()
            busiest = await self._wave()
            seconds = loop.time() - started
            self.world.log.clear()
            self.world.bookings.clear()
            self.world.tombstones.clear()
            rows = self._rows()
            prune(f"sqlite:///{self._path}", older_than_days=0, now=LONG_AFTER)
            gc.collect()
            yield Footing(
                sessions=self._number,
                seconds=seconds,
                busiest=busiest,
                tasks=len(asyncio.all_tasks()) - 1,
                rows=rows,
                kept=self._rows(),
                blocks=sys.getallocatedblocks(),
                objects=len(gc.get_objects()),
            )

    def _rows(self) -> int:
        with closing(sqlite3.connect(self._path)) as database:
            counts = (f"SELECT count(*) FROM {table}" for table in TABLES)  # noqa: S608 - constants
            return sum(int(database.execute(count).fetchone()[0]) for count in counts)

    async def _wave(self) -> int:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                self._number += 1
                group.create_task(self._session(f"{self._number}"))
            busiest = group.create_task(self._busiest())
        return busiest.result()

    async def _busiest(self) -> int:
        """Tasks in the midst of the first turn, when every guess of every session is under way."""
        await asyncio.sleep(TOOL_SECONDS / 2)
        return len(asyncio.all_tasks()) - 2

    async def _session(self, seat: str) -> None:
        session = self._coordinator.session(SessionKey(thread=f"thread {seat}"))
        for tool in self._steps:
            turn = self._coordinator.begin_turn(
                session, TurnContext(tools=self.registry), contextvars.copy_context()
            )
            call = Call(tool=tool, args={"seat": seat})
            self._told.tell([call, Call(tool=tool, args={"seat": f"not {seat}"})])
            self._coordinator.hear(turn, LATER)
            await asyncio.sleep(TURN_SECONDS)
            self._coordinator.end_turn(turn, [call])
            spec = self.registry.require(tool)
            assert spec.runner is not None
            real = RealCall(call=call, tool=spec, runner=spec.runner, identity=f"{tool} {seat}")
            answer = await self._coordinator.real_call(session, real)
            assert answer["seat"] == seat, "nobody gets what another session has read"
        await self._coordinator.settle(session)


def footings(*, at_once: int, books: bool, waves: int) -> list[Footing]:
    """Run so many waves on virtual time, with a real SQLite journal that is pruned after each."""
    with TemporaryDirectory(prefix="specflow-bench-") as folder:
        path = Path(folder) / "journal.db"

        async def main() -> list[Footing]:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, SeededLoop)
            loop.recording = False  # the history of all its steps is no part of what is measured
            journal = InlineSqlJournal(path, clock=SystemClock(), is_dead=lambda _owner: False)
            try:
                crowd = Crowd(journal, path, at_once=at_once, books=books)
                return [footing async for footing in crowd.waves(waves)]
            finally:
                journal.close()

        with asyncio.Runner(loop_factory=lambda: SeededLoop(0, max_steps=1_000_000_000)) as runner:
            return runner.run(main())
