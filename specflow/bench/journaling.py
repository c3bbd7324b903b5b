"""What an effect costs in the journal, beside the disk's own price and LangGraph's checkpoint."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from specflow.bench.effort import Effort
from specflow.bench.paired import Measure, in_turn, paired
from specflow.bench.row import Row, row, skipped
from specflow.bench.sample import folder
from specflow.effects.call import digest
from specflow.effects.kind import EffectClass
from specflow.journal.database import Durability
from specflow.journal.record import Intent, Lease, Outcome, UndoPlan
from specflow.journal.sql import SqlJournal
from specflow.lifecycle import Stage

BENCH, METRIC, UNIT = "journal", "time per effect", "us"
AT_ONCE = (1, 16, 256)
PAGE = 4096
SAVER = "LangGraph's SqliteSaver.put"
_sync = getattr(os, "fdatasync", os.fsync)  # fdatasync is not everywhere


def rows(effort: Effort) -> Iterator[Row]:
    """Intent and outcome of an effect, by 1, 16 and 256 tasks at once; the baseline is one durable page."""
    saver = find_spec("langgraph.checkpoint.sqlite") is not None
    durabilities: tuple[Durability, ...] = ("power", "process")
    with folder() as place:
        for at_once in AT_ONCE:
            effort.tell(f"journal: {at_once} at once")
            yield from asyncio.run(_measured(place, at_once, durabilities, effort))
        if saver:
            effort.tell("journal: SqliteSaver")
            yield asyncio.run(_saver(place, effort))
        else:
            yield skipped(BENCH, SAVER, "time per checkpoint", UNIT, "needs langgraph-checkpoint-sqlite")


async def _measured(
    place: Path, at_once: int, durabilities: tuple[Durability, ...], effort: Effort
) -> list[Row]:
    effects = max(at_once, effort.size(512 if at_once > 1 else 64, 16))
    with _pages(place / "raw", effort.size(64, 8)) as raw:
        variants = {"raw": raw}
        async with (
            _journal(place / f"power-{at_once}.db", "power", at_once, effects) as power,
            _journal(place / f"process-{at_once}.db", "process", at_once, effects) as process,
        ):
            variants.update(zip(durabilities, (power, process), strict=True))
            measured = await in_turn(variants, rounds=effort.pairs(9))
    baseline = measured.pop("raw")
    return [
        row(
            BENCH,
            f"durability {durability}, {at_once} at once",
            METRIC,
            UNIT,
            paired(values, baseline),
            note="baseline: write and fdatasync of 4 kB",
        )
        for durability, values in measured.items()
    ]


@asynccontextmanager
async def _journal(file: Path, durability: Durability, at_once: int, effects: int) -> AsyncIterator[Measure]:
    journal = SqlJournal.open(f"sqlite:///{file}", durability=durability)
    numbers = itertools.count()

    async def one_after_another(lease: Lease, count: int) -> None:
        for _ in range(count):
            intent = _intent(next(numbers))
            await journal.intend(lease, intent)
            await journal.record(lease, intent.effect_id, Outcome(stage=Stage.DONE, result={"id": "B-1"}))

    async def measure() -> float:
        share = effects // at_once
        started = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(one_after_another(lease, share))
        return 1e6 * (perf_counter() - started) / (share * at_once)

    try:
        lease = await journal.open_session("bench", thread="bench", owner="bench")
        yield measure
    finally:
        await journal.aclose()


def _intent(number: int) -> Intent:
    return Intent(
        effect_id=f"eff_{number}",
        branch_id=f"br_{number}",
        tool="book_flight",
        schema_hash=digest("schema"),
        policy_hash=digest("policy"),
        effect=EffectClass.COMPENSATABLE,
        fingerprint=digest(str(number)),
        args={"flight_id": f"SK{number}", "passenger": "Ada Lovelace", "seat": "12A"},
        idem_key=digest("key", str(number)),
        hypothesis="the next call is book_flight",
        keyed=True,
        undo=UndoPlan(tool="cancel_booking", arguments={"request_id": "key"}, tolerates_missing=True),
        reasons=("effect", "speculate"),
    )


@contextmanager
def _pages(file: Path, count: int) -> Iterator[Measure]:
    """Microseconds to append one page to a file and have it on the disk."""
    with file.open("ab", buffering=0) as out:
        page = os.urandom(PAGE)

        async def measure() -> float:
            started = perf_counter()
            for _ in range(count):
                out.write(page)
                _sync(out.fileno())
            return 1e6 * (perf_counter() - started) / count

        yield measure


async def _saver(place: Path, effort: Effort) -> Row:
    from langgraph.checkpoint.base import Checkpoint, empty_checkpoint  # noqa: PLC0415 - with the saver
    from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415 - a package that may be missing

    count = effort.size(64, 8)
    with SqliteSaver.from_conn_string(str(place / "saver.db")) as saver, _pages(place / "raw", count) as raw:
        saver.setup()

        async def put() -> float:
            started = perf_counter()
            for _ in range(count):
                checkpoint: Checkpoint = empty_checkpoint()
                saver.put(
                    {"configurable": {"thread_id": "bench", "checkpoint_ns": ""}},
                    checkpoint,
                    {"source": "loop", "step": 1},
                    {},
                )
            return 1e6 * (perf_counter() - started) / count

        measured = await in_turn({"raw": raw, "put": put}, rounds=effort.pairs(9))
    found = paired(measured["put"], measured["raw"])
    note = "an empty checkpoint; baseline: write and fdatasync of 4 kB"
    return row(BENCH, SAVER, "time per checkpoint", UNIT, found, note=note)
