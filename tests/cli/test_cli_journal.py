from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from specflow.cli import db, journal
from specflow.journal.database import Database
from specflow.journal.prune import Pruned, prune
from specflow.journal.reads import snapshot_of
from specflow.journal.record import Outcome, PredictionRow
from specflow.journal.sql import SqlJournal
from specflow.journal.tables import HEAD
from specflow.journal.verify import verify
from specflow.lifecycle import ApprovalState, Stage
from specflow.testing.journal_bench import Bench, to_stage
from specflow.testing.journal_checks_approvals import intent_on, question, rests_on
from specflow.testing.journal_checks_pairs import pair
from specflow.testing.postgres import PostgresServer, postgres

__all__ = ["postgres"]

DAY = 86_400.0


class At:
    """A clock that stands."""

    def __init__(self, now: float) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


def run(app: Any, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout if code != 2 else result.stderr


def prediction(tag: str, session_id: str, now: float) -> PredictionRow:
    return PredictionRow(
        speculation_id=f"{tag}-p",
        session_id=session_id,
        tool="t",
        fingerprint="f",
        predictor="x",
        confidence=1.0,
        outcome="hit",
        cause="",
        at=now,
    )


async def fill(url: str, tag: str, *stages: Stage, now: float, close: bool = True) -> str:
    """A session with one effect of each of `stages`."""
    bench = Bench(journal=SqlJournal.open(url, clock=At(now)), tag=tag)
    lease = await bench.lease()
    for stage in stages:
        await to_stage(bench, lease, stage.value, stage)
    for branch_id in await bench.journal.open_branches(lease.session_id):
        await bench.journal.abort(lease, branch_id, "turn_ended")
    bench.journal.note(prediction(tag, lease.session_id, now))
    if close:
        await bench.journal.close_session(lease)
    await bench.journal.aclose()
    return lease.session_id


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


def test_the_life_of_a_database(url: str) -> None:
    if not url.startswith("sqlite"):
        assert run(db.app, "current", "--db", url).startswith("no tables")
        assert "specflow db upgrade --db" in run(journal.app, "list", "--db", url, code=2)
        assert json.loads(run(db.app, "check", "--db", url, "--json", code=1))["ok"] is False
    document = json.loads(run(db.app, "upgrade", "--db", url, "--json"))
    assert document == {"before": None, "after": HEAD}
    assert run(db.app, "upgrade", "--db", url) == f"already at {HEAD}\n"
    assert json.loads(run(db.app, "current", "--db", url, "--json"))["current"] == HEAD
    assert json.loads(run(db.app, "check", "--db", url, "--json"))["differences"] == []
    assert run(db.app, "check", "--db", url) == f"at {HEAD}, as expected\n"
    with Database(url).engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_sf_effect_stuck")
    assert "ix_sf_effect_stuck" in run(db.app, "check", "--db", url, code=1)
    assert run(journal.app, "list", "--db", url) == "no sessions\n"
    empty = json.loads(run(journal.app, "verify", "--db", url, "--json"))
    assert (empty["ok"], empty["violations"]) == (True, [])


def test_what_is_stuck_is_found_and_shown(tmp_path: Path) -> None:
    url = str(tmp_path / "journal.db")  # a path will do
    full = f"sqlite:///{url}"
    calm = asyncio.run(fill(full, "calm", Stage.COMMITTED, now=1_000.0))
    stuck = asyncio.run(fill(full, "bad", Stage.STUCK, Stage.COMPENSATED, now=2_000.0))
    open_ = asyncio.run(fill(full, "live", Stage.DONE, now=3_000.0, close=False))
    listed = json.loads(run(journal.app, "list", "--db", url, "--json"))["sessions"]
    assert [row["session_id"] for row in listed] == [calm, stuck, open_]
    assert listed[1]["effects"] == {"stuck": 1, "compensated": 1}
    assert stuck in run(journal.app, "list", "--db", url, "--stuck")
    assert calm not in run(journal.app, "list", "--db", url, "--stuck")
    assert [open_] == [
        row["session_id"]
        for row in json.loads(run(journal.app, "list", "--db", url, "--active", "--json"))["sessions"]
    ]
    assert calm in run(journal.app, "list", "--db", url, "--thread", "calm")
    text = run(journal.app, "show", stuck, "--db", url)
    moves = [line.split("Z")[-1].split("->")[1].split()[0] for line in text.splitlines() if "->" in line]
    assert moves[0] == "active"
    assert moves[-1] == "closed"
    assert "unresolved" in text
    one = json.loads(run(journal.app, "show", "bad-st", "--db", url, "--json"))
    assert one["id"] == "bad-stuck"
    assert [event["target"] for event in one["events"]] == [
        "open", "intended", "unknown", "stuck", "aborted",
    ]  # fmt: skip
    assert run(journal.app, "show", "bad-br-stuck", "--db", url).startswith("effect bad-stuck")
    assert "ambiguous" in run(journal.app, "show", "bad", "--db", url, code=2)
    assert "knows no" in run(journal.app, "show", "nothing", "--db", url, code=2)
    assert "all invariants hold over 3 sessions" in run(journal.app, "verify", "--db", url)


def test_who_said_yes_to_an_effect_is_shown(tmp_path: Path) -> None:
    async def fill() -> None:
        made = SqlJournal.open(f"sqlite:///{tmp_path}/j.db")
        bench = Bench(journal=made, tag="x")
        await made.ask(question(bench))
        await made.intend(await bench.lease(), intent_on(bench, "agreed", rests_on(bench)))
        await made.aclose()

    asyncio.run(fill())
    url = f"sqlite:///{tmp_path}/j.db"
    text = run(journal.app, "show", "x-agreed", "--db", url)
    assert "a person said approve at 1970-01-01 00:02:30.000, asked at 1970-01-01 00:01:40.000" in text
    shown = json.loads(run(journal.app, "show", "x-agreed", "--db", url, "--json"))
    assert [row["interrupt_id"] for row in shown["approvals"]] == ["x-interrupt-q"]


def test_questions_go_with_their_effects_or_with_their_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/j.db"

    async def fill() -> None:
        made = SqlJournal.open(url, clock=At(1_000.0))
        bench = Bench(journal=made, tag="x")
        lease = await bench.lease()
        for name in ("used", "refused", "old", "new"):
            await made.ask(question(bench, name, expires_at=9 * DAY if name == "new" else 200.0))
        await made.decide("x-refused", ApprovalState.REFUSED, decision="reject", at=150.0)
        effect = intent_on(bench, "agreed", rests_on(bench, "used"))
        await made.intend(lease, effect)
        await made.record(lease, effect.effect_id, Outcome(stage=Stage.FAILED))
        await made.close_session(lease)
        await made.aclose()

    asyncio.run(fill())
    assert prune(url, older_than_days=2, now=3 * DAY, dry_run=True).effects == 1
    assert len(snapshot_of(url).approvals) == 4
    prune(url, older_than_days=2, now=3 * DAY)
    assert [row.approval_id for row in snapshot_of(url).approvals] == ["x-new"]
    assert verify(snapshot_of(url)) == ()


def test_a_patch_and_its_base_are_shown_with_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"

    async def fill_pair() -> None:
        bench = Bench(journal=SqlJournal.open(url), tag="x")
        lease = await bench.lease()
        base, patch = await pair(bench, lease)
        assert await bench.journal.adopt_patched(lease, base, patch, bench.real())
        await bench.journal.close_session(lease)
        await bench.journal.aclose()

    asyncio.run(fill_pair())
    text = run(journal.app, "show", "x-s", "--db", url)
    assert "patched by x-a2: book, committed" in text
    assert "patches x-a, whose undo takes back both" in text
    assert "(patched)" in text
    shown = json.loads(run(journal.app, "show", "x-a2", "--db", url, "--json"))
    assert shown["effects"][0]["undo"]["covered_by"] == "x-a"
    assert "all invariants hold" in run(journal.app, "verify", "--db", url)


def test_violations_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    asyncio.run(fill(f"sqlite:///{file}", "x", Stage.COMMITTED, now=1.0))
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM sf_event WHERE target = 'done'")
        connection.execute("UPDATE sf_effect SET tool = 'evil\x1b[2J'")
    connection.close()
    found = json.loads(run(journal.app, "verify", "--db", str(file), "--json", code=1))
    assert found["ok"] is False
    assert {"invariant": "I7", "rows": ["x-committed"]}.items() <= found["violations"][0].items()
    assert found["counts"]["effects"] == 1
    text = run(journal.app, "verify", "--db", str(file), code=1)
    assert "I7" in text
    assert "\x1b" not in text + run(journal.app, "show", "x-committed", "--db", str(file))


def test_pruning_keeps_what_matters(url: str) -> None:
    run(db.app, "upgrade", "--db", url)
    import time

    now = time.time()
    old = asyncio.run(fill(url, "old", Stage.COMMITTED, Stage.COMPENSATED, now=now - 100 * DAY))
    stuck = asyncio.run(fill(url, "stuck", Stage.STUCK, now=now - 100 * DAY))
    live = asyncio.run(fill(url, "live", Stage.DONE, now=now - 100 * DAY, close=False))
    young = asyncio.run(fill(url, "young", Stage.COMMITTED, now=now - DAY))
    common = ("prune", "--db", url, "--older-than", "30", "--json")
    counted = json.loads(run(journal.app, *common, "--dry-run"))
    assert (counted["sessions"], counted["effects"], counted["predictions"]) == (1, 2, 1)
    everything = json.loads(run(journal.app, "list", "--db", url, "--json"))["sessions"]
    assert len(everything) == 4
    deleted = json.loads(run(journal.app, *common))
    assert deleted == {**counted, "dry_run": False}
    left = json.loads(run(journal.app, "list", "--db", url, "--json"))["sessions"]
    assert {row["session_id"] for row in left} == {stuck, live, young}
    assert old not in {row["session_id"] for row in left}
    assert json.loads(run(journal.app, "verify", "--db", url, "--json"))["ok"] is True
    assert json.loads(run(journal.app, *common))["sessions"] == 0
    assert "negative" in run(journal.app, "prune", "--db", url, "--older-than", "-1", code=2)


def test_predictions_of_sessions_that_only_read_are_pruned_by_their_age(url: str) -> None:
    """Such a session has no row of its own, so there is none that could be closed."""
    now = 1_000 * DAY

    async def read_only() -> None:
        journal = SqlJournal.open(url, clock=At(now))
        journal.note(prediction("old", "ses_old", now - 100 * DAY))
        journal.note(prediction("young", "ses_young", now - DAY))
        await journal.aclose()

    run(db.app, "upgrade", "--db", url)
    asyncio.run(read_only())
    asyncio.run(fill(url, "live", Stage.DONE, now=now - 100 * DAY, close=False))
    for options in ({"dry_run": True}, {}):
        assert prune(url, older_than_days=30, now=now, **options) == Pruned(predictions=1)
    assert prune(url, older_than_days=30, now=now) == Pruned()
    assert prune(url, older_than_days=0, now=now) == Pruned(predictions=1), "not that of a live session"


def test_many_sessions_are_pruned_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specflow.journal.prune.AT_ONCE", 2)
    url = f"sqlite:///{tmp_path}/journal.db"
    for index in range(5):
        asyncio.run(fill(url, f"s{index}", Stage.COMMITTED, now=1.0))
    text = run(journal.app, "prune", "--db", url, "--older-than", "1")
    assert text.startswith("deleted 5 sessions, 5 effects")


@pytest.mark.parametrize(
    ("app", "arguments"),
    [
        (journal.app, ["list"]),
        (journal.app, ["verify"]),
        (journal.app, ["show", "x"]),
        (journal.app, ["prune", "--older-than", "1"]),
        (db.app, ["current"]),
        (db.app, ["check"]),
    ],
)
def test_asking_makes_no_file(app: Any, arguments: list[str], tmp_path: Path) -> None:
    file = tmp_path / "absent.db"
    text = run(app, *arguments, "--db", str(file), code=2)
    assert "there is no journal" in text
    assert len(text.strip().splitlines()) == 1
    assert not file.exists()


@pytest.mark.parametrize("app", [journal.app, db.app])
def test_every_command_has_an_example(app: Any) -> None:
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert "Example: specflow" in run(app, name, "--help")
