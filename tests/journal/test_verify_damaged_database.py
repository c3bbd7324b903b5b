"""A row is damaged in a real database, behind the journal's back, and `verify` names it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from specflow.clock import SystemClock
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import CHECKED, verify
from specflow.lifecycle import Stage
from specflow.testing.journal_bench import DONE, Bench, to_stage
from specflow.testing.journal_checks_approvals import intent_on, question, rests_on
from specflow.testing.journal_checks_repeats import unknown

KEPT, LOST, STUCK, ABOVE, AGREED = "x-committed", "x-compensated", "x-stuck", "x-above", "x-agreed"
AGAIN = "x-again"


def event(subject: str, target: str, change: str) -> str:
    return f"UPDATE sf_event SET {change} WHERE subject = '{subject}' AND target = '{target}'"


def effect(name: str, change: str) -> str:
    return f"UPDATE sf_effect SET {change} WHERE effect_id = '{name}'"


def branch(name: str, change: str) -> str:
    return f"UPDATE sf_branch SET {change} WHERE branch_id = '{name}'"


def claim(name: str) -> str:
    return f"INSERT INTO sf_claim VALUES ('{name}', 'seat:1', 'exclusive')"


DAMAGE: list[tuple[str, str, tuple[str, ...]]] = [
    ("I1", KEPT, (f"DELETE FROM sf_event WHERE subject = '{KEPT}' AND target = 'intended'",)),
    ("I2", LOST, (effect(LOST, "stage = 'done'"),)),
    ("I3", KEPT, (effect(KEPT, "adopted_by = NULL"),)),
    ("I3", KEPT, (event(KEPT, "committed", "source = 'committed', target = 'compensating'"),)),
    ("I3", KEPT, ("UPDATE sf_session SET decision = 'saga_aborted'",)),
    ("I4", LOST, (effect(LOST, "stage = 'committed'"),)),
    ("I4", LOST, (event("x-br-compensated", "aborted", "seq = 9000"),)),
    ("I4", STUCK, (event(STUCK, "stuck", "target = 'failed', fence = 9"), effect(STUCK, "verify = NULL"))),
    ("I5", LOST, (f"INSERT INTO sf_effect_dep VALUES ('{KEPT}', '{LOST}')",)),
    ("I6", LOST, (event(LOST, "compensating", "target = 'compensated'"),)),
    ("I7", KEPT, (effect(KEPT, "rev = 9"),)),
    ("I7", LOST, (effect(LOST, "attempts = 4"),)),
    ("I7", KEPT, (effect(KEPT, "branch_id = 'x-br-ghost'"),)),
    ("I7", "x-s", ("UPDATE sf_session SET state = 'active'",)),
    ("I8", "x-s", ("UPDATE sf_session SET fence = 4",)),
    ("I8", STUCK, (event(STUCK, "stuck", "fence = 0"),)),
    ("I9", "x-br-stuck", (branch("x-br-stuck", "decided_fence = 7"),)),
    ("I9", "x-s", (event("x-s", "closed", "cause = 'saga_aborted'"),)),
    ("I11", LOST, (effect(LOST, "effect_class = 'confirmation_required'"),)),
    ("I13", STUCK, (effect(STUCK, "error = ''"), event(STUCK, "stuck", "cause = ''"))),
    ("I14", KEPT, (f"INSERT INTO sf_effect_dep VALUES ('{KEPT}', '{LOST}')",)),
    ("I14", "x-br-committed", (branch("x-br-committed", "parent_id = 'x-br-stuck'"),)),
    ("I15", STUCK, (claim(STUCK), claim(ABOVE))),
    ("I16", KEPT, (effect(KEPT, """undo = '{"tool":"","arguments":{},"covered_by":"x-ghost"}'"""),)),
    ("I17", AGREED, ("UPDATE sf_approval SET fingerprint = 'other'",)),
    ("I18", AGAIN, (effect(AGAIN, "keyed = 0"),)),
    ("I18", AGAIN, (effect(AGAIN, "call_deadline = 1.0"),)),
]
"""An invariant, a row that must be named, and the statements that break it."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with a closed session, and one that is at work."""
    path = tmp_path_factory.mktemp("sound") / "journal.db"

    async def fill() -> None:
        journal = SqlJournal.open(f"sqlite:///{path}", clock=SystemClock())
        bench = Bench(journal=journal, tag="x")
        lease = await bench.lease()
        for stage in (Stage.COMMITTED, Stage.COMPENSATED, Stage.STUCK):
            await to_stage(bench, lease, stage.value, stage)
        await journal.abort(lease, bench.branch("stuck"), "turn_ended")
        again = await unknown(bench, lease, "again")
        assert await journal.repeat(lease, AGAIN, rev=again.rev, call_deadline=20.0)
        await journal.record(lease, AGAIN, DONE)
        await journal.ask(question(bench))
        await journal.intend(lease, intent_on(bench, "agreed", rests_on(bench)))
        await journal.record(lease, AGREED, DONE)
        await journal.close_session(lease)
        await to_stage(bench, await bench.lease("other"), "above", Stage.DONE)
        assert verify(await journal.snapshot()) == ()
        await journal.aclose()

    asyncio.run(fill())
    return path


@pytest.mark.parametrize(
    ("invariant", "row", "damage"), DAMAGE, ids=[f"{invariant} {row}" for invariant, row, _ in DAMAGE]
)
def test_a_damaged_row_is_named(
    invariant: str, row: str, damage: tuple[str, ...], sound: Path, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(sound, path)
    database = sqlite3.connect(path)
    database.executescript("; ".join(("PRAGMA ignore_check_constraints = ON", *damage)))
    assert database.total_changes
    database.close()

    async def found() -> set[str]:
        journal = SqlJournal.open(f"sqlite:///{path}")
        try:
            violations = verify(await journal.snapshot())
        finally:
            await journal.aclose()
        return {name for found in violations if found.invariant == invariant for name in found.rows}

    assert row in asyncio.run(found())


def test_every_invariant_that_rows_can_break_is_broken_here() -> None:
    assert {invariant for invariant, _, _ in DAMAGE} == set(CHECKED)
