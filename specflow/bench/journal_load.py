"""The load that a journal is measured with: effects whose intents and outcomes many tasks write."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

from specflow.bench.paired import Measure
from specflow.effects.call import digest
from specflow.effects.kind import EffectClass
from specflow.journal.database import Durability
from specflow.journal.record import Intent, Lease, Outcome, UndoPlan
from specflow.journal.sql import SqlJournal
from specflow.lifecycle import Stage

DONE = Outcome(stage=Stage.DONE, result={"id": "B-1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`effects` in all, by `at_once` tasks.

    Each task awaits its intent, then its outcome. `riding`: it writes the next intent together with the
    outcome, so that both are in one transaction.
    """

    at_once: int
    effects: int
    riding: bool = False

    @property
    def share(self) -> int:
        """Effects of one task."""
        return max(1, self.effects // self.at_once)


@asynccontextmanager
async def journal(url: str, durability: Durability, load: Load) -> AsyncIterator[Measure]:
    """Microseconds for each effect in specflow's journal at `url`; the intents are made beforehand."""
    opened = SqlJournal.open(url, durability=durability)
    numbers = itertools.count()

    async def measure() -> float:
        tasks = range(load.at_once)
        work = [[_intent(next(numbers)) for _ in range(load.share)] for _ in tasks]
        write = _riding if load.riding else _one_after_another
        started = perf_counter()
        async with asyncio.TaskGroup() as group:
            for intents in work:
                group.create_task(write(opened, lease, intents))
        return 1e6 * (perf_counter() - started) / (load.share * load.at_once)

    try:
        lease = await opened.open_session("bench", thread="bench", owner="bench")
        yield measure
    finally:
        await opened.aclose()


async def _one_after_another(opened: SqlJournal, lease: Lease, intents: Sequence[Intent]) -> None:
    for intent in intents:
        await opened.intend(lease, intent)
        await opened.record(lease, intent.effect_id, DONE)


async def _riding(opened: SqlJournal, lease: Lease, intents: Sequence[Intent]) -> None:
    await opened.intend(lease, intents[0])
    for intent, following in itertools.pairwise(intents):
        await asyncio.gather(opened.record(lease, intent.effect_id, DONE), opened.intend(lease, following))
    await opened.record(lease, intents[-1].effect_id, DONE)


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
