"""The demo as a whole: real HTTP, a real SQLite file, real processes; people who say yes, no or nothing."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from specflow.demo.approval import Approval, say_yes
from specflow.demo.bundle import load_desk
from specflow.demo.database import Database
from specflow.demo.sidebyside import Setup, compare
from specflow.errors import ConfigurationError
from specflow.journal.owner import owner_id
from specflow.journal.sql import SqlJournal

SPEED = 6.0


def _kill_script():
    """The script beside this file, which is also run by hand."""
    spec = importlib.util.spec_from_file_location("kill_demo", Path(__file__).with_name("kill_demo.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KILL = _kill_script()


def demo(*options: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILL.RUN_DEMO, "demo", *options],
        capture_output=True,
        text=True,
        timeout=110,
        stdin=subprocess.DEVNULL,
        check=False,
        **more,
    )


def bookings(db: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(db)
    try:
        return connection.execute("SELECT flight_id, status FROM desk_bookings ORDER BY flight_id").fetchall()
    finally:
        connection.close()


async def test_both_runs_agree_and_the_wrong_booking_really_came_and_went(tmp_path):
    asked = []

    async def ask(request):
        asked.append(request)
        return True

    database = Database(path=tmp_path / "d.db")
    found = await compare(Setup(database=database, speed=SPEED), Approval(ask))
    assert found.same
    assert "SK1475" in found.speculative.answer
    assert "212.40 EUR paid" in found.speculative.answer
    assert [request["type"] for request in asked] == ["tool_approval"]
    assert (found.sequential.confirmations, found.speculative.confirmations) == (1, 1)
    assert [call.tool for call in found.sequential.calls] == [call.tool for call in found.speculative.calls]

    counts = found.watch.outcomes
    assert counts["compensated"] == 1
    assert counts["cancelled"] >= 1
    assert counts["hit"] + counts["late"] == 3
    assert counts["miss"] >= 1
    assert counts["stuck"] == 0
    assert found.watch.undone == ["book_flight(TP351, Ada Lovelace)"]
    # The early booking was in the database, and so was its cancellation.
    assert bookings(database.path) == [("SK1475", "booked"), ("TP351", "cancelled")]
    assert bookings(database.sequential) == [("SK1475", "booked")]
    wrong, _ = await KILL.aftermath(database.path)
    assert wrong == []


async def test_a_declined_charge_is_reported_by_the_agent_and_nothing_is_paid(tmp_path):
    async def no(request):
        return False

    database = Database(path=tmp_path / "d.db")
    found = await compare(Setup(database=database, speed=SPEED), Approval(no))
    assert found.same
    assert "Not paid" in found.speculative.answer
    for path in (database.path, database.sequential):
        assert load_desk().desk(path).store.state()["charges"] == []


async def test_the_demo_can_be_run_again_on_the_same_file(tmp_path):
    setup = Setup(database=Database(path=tmp_path / "d.db"), speed=SPEED * 2)
    first = await compare(setup, Approval(say_yes))
    second = await compare(setup, Approval(say_yes))
    assert first.speculative.world == second.speculative.world


async def test_a_desk_is_not_reset_under_another_run_that_is_at_work(tmp_path):
    database = Database(path=tmp_path / "d.db")
    journal = SqlJournal.open(database.url)
    try:
        await journal.open_session("ses_other", thread="t", owner=owner_id())
        with pytest.raises(ConfigurationError, match="ses_other"):
            await compare(Setup(database=database, speed=SPEED), Approval(say_yes))
    finally:
        await journal.aclose()
    assert not load_desk().desk(database.path).store.exists()


def test_json_is_one_document_with_the_promised_keys(tmp_path):
    done = demo("--yes", "--json", "--db", f"sqlite:///{tmp_path}/d.db", "--speed", str(SPEED))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"sequential", "speculative", "bound_seconds", "journal"} <= set(found)
    for side in ("sequential", "speculative"):
        assert {"seconds", "answer", "world"} <= set(found[side])
    outcomes = found["speculative"]["outcomes"]
    assert {"hit", "late", "miss", "stale", "cancelled", "compensated"} <= set(outcomes)
    assert found["speculative"]["confirmations"] == 1
    assert found["sequential"]["world"] == found["speculative"]["world"]
    assert 0 < found["bound_seconds"] < found["sequential"]["seconds"]
    assert found["journal"] == f"sqlite:///{tmp_path}/d.db"


def test_with_nobody_to_ask_the_charge_is_declined(tmp_path):
    done = demo("--speed", str(SPEED), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("declined") == 1
    assert "Traceback" not in done.stderr
    assert "Not paid" in done.stdout
    assert "\x1b" not in done.stdout
    assert "specflow journal list --db sqlite:///specflow-demo.db" in done.stdout
    assert (tmp_path / "specflow-demo.db").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--db", "postgresql://me:secret@host/db"),
        ("--db", "sqlite:////no/such/folder/x.db"),
        ("--speed", "0"),
        ("--speed", "nan"),
        ("--model", "gpt"),
        ("--run", "no-such-file.jsonl"),
    ],
)
def test_what_cannot_work_is_one_clear_line(options, tmp_path):
    done = demo(*options, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "secret" not in done.stderr


def test_a_person_at_a_terminal_is_asked_once(tmp_path):
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", KILL.RUN_DEMO, "demo", "--db", f"{tmp_path}/d.db", "--speed", str(SPEED)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50"},
    )
    os.close(theirs)
    shown = b""
    answered = False
    try:
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the child has closed its terminal
                break
            if not piece:
                break
            shown += piece
            if not answered and b"[y/N]" in shown:
                answered = True
                os.write(ours, b"yes\n")
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    text = shown.decode()
    assert text.count("[y/N]") == 1
    assert "212.40 EUR paid" in text
    assert "speculative" in text
    assert "Traceback" not in text


def test_ctrl_c_undoes_what_ran_early_and_exits_130(tmp_path):
    db = tmp_path / "d.db"
    child = subprocess.Popen(
        [sys.executable, "-c", KILL.RUN_DEMO, "demo", "--yes", "--db", str(db), "--speed", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        KILL.wait_for_the_run(child, db)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and ("TP351", "booked") not in bookings(db):
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 130
    assert "Traceback" not in errors.decode()
    assert len(errors.decode().strip().splitlines()) == 1
    wrong, _ = asyncio.run(KILL.aftermath(db))
    assert wrong == []
    assert ("TP351", "booked") not in bookings(db)


def test_killed_at_random_moments_nothing_is_left_that_the_real_run_did_not_make(tmp_path):
    killed, wrong, _ = KILL.campaign(4, seed=7, folder=tmp_path)
    assert wrong == []
    assert killed
