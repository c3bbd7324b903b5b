"""The SQL journal without its threads: the contract under a seeded loop, and what becomes of trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from specflow.errors import JournalError
from specflow.journal.record import PredictionRow
from specflow.lifecycle import Stage
from specflow.testing.explore import run
from specflow.testing.inline_journal import InlineSqlJournal
from specflow.testing.journal_bench import Bench, to_stage
from specflow.testing.journal_contract import CHECKS
from specflow.testing.proof import LoopOrZero


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[InlineSqlJournal]:
    made = InlineSqlJournal(tmp_path / "inline.db", clock=LoopOrZero(), is_dead=DEAD.__contains__)
    yield made
    DEAD.clear()
    made.close()


DEAD: set[str] = set()


@pytest.mark.parametrize(
    "name",
    [
        "adoption_and_abort_cannot_both_win",
        "a_zombie_writes_nothing",
        "an_intent_is_read_back_verbatim",
        "decisions_are_immutable",
    ],
)
def test_it_keeps_the_contract(name: str, journal: InlineSqlJournal) -> None:
    for seed in range(3):
        run(CHECKS[name](Bench(journal=journal, dead=DEAD)), seed=seed)  # type: ignore[arg-type] # a coroutine


def test_what_was_asked_for_is_written_though_nobody_waits(journal: InlineSqlJournal) -> None:
    async def main() -> None:
        bench = Bench(journal=journal, tag="x")
        lease = await bench.lease()
        asked = asyncio.ensure_future(journal.intend(lease, bench.intent("a")))
        while not (journal._line._queue or asked.done()):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait({asked})
        await asyncio.sleep(0.1)
        assert await bench.stage("x-a") is Stage.INTENDED

    for seed in range(10):
        journal.empty()
        run(main(), seed=seed)


def test_trouble_with_the_database_reaches_everybody_who_waits(
    journal: InlineSqlJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        bench = Bench(journal=journal, tag="x")
        lease = await bench.lease()

        def broken(*_: object) -> None:
            raise OSError("the disk is gone")

        monkeypatch.setattr("specflow.testing.inline_journal.execute", broken)
        answers = await asyncio.gather(
            *(journal.intend(lease, bench.intent(name)) for name in "ab"), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [JournalError, JournalError]

    run(main(), seed=1)


def test_emptied_it_knows_nothing(journal: InlineSqlJournal) -> None:
    async def main() -> None:
        bench = Bench(journal=journal, tag="x")
        await to_stage(bench, await bench.lease(), "a", Stage.COMPENSATED)
        journal.note(
            PredictionRow(
                speculation_id="s", session_id="x", tool="book", fingerprint="f", predictor="p",
                confidence=0.5, outcome="hit", cause="", at=1.0,
            )
        )  # fmt: skip
        assert len((await journal.snapshot()).predictions) == 1
        journal.empty()
        rows = await journal.snapshot()
        assert (rows.sessions, rows.branches, rows.effects, rows.events, rows.predictions) == ((),) * 5

    run(main())
