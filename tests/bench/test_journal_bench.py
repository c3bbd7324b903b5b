"""What stands beside the journal is measured for what it is, and a row says why when it is not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from specflow.bench import journal_others, journaling
from specflow.bench.effort import Effort
from specflow.bench.journal_floor import plain_sqlite
from specflow.bench.journal_load import Load, journal
from specflow.bench.journal_others import INSTALL, dbos_step, missing
from specflow.bench.row import Row
from specflow.errors import ConfigurationError
from specflow.journal.reads import snapshot_of
from specflow.journal.verify import verify
from specflow.lifecycle import Stage

QUICK = Effort(runs=1, quick=True)


def by_case(rows: Iterator[Row]) -> dict[str, Row]:
    return {row.case: row for row in rows}


def test_what_is_not_installed_is_skipped_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_others, "find_spec", lambda _name: None)
    rows = by_case(journaling.rows(QUICK))
    absent = {case: row.note for case, row in rows.items() if row.skipped}
    assert absent.keys() == {
        "PostgreSQL",
        *(f"SQLite: {name}, {count} at once" for name in ("LangGraph's SqliteSaver.put", "a step of DBOS")
          for count in (1, 16)),
    }  # fmt: skip
    assert all(note.endswith(INSTALL) for note in absent.values())
    assert "langgraph-checkpoint-sqlite" in absent["SQLite: LangGraph's SqliteSaver.put, 1 at once"]
    assert "goal: 20,000 a second" in rows["SQLite: durability power, 256 at once"].note
    assert len(rows) - len(absent) == 10


def test_a_package_around_the_missing_module_may_be_missing_too() -> None:
    assert missing("json", "json") == ""
    assert missing("no_such_package.inside", "it") == f"needs it: {INSTALL}"


@pytest.mark.parametrize("riding", [False, True])
async def test_the_load_is_what_it_says(tmp_path: Path, riding: bool) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    async with journal(url, "process", Load(at_once=3, effects=12, riding=riding)) as measure:
        assert await measure() > 0
        assert await measure() > 0
    found = snapshot_of(url)
    assert [row.stage for row in found.effects] == [Stage.DONE] * 24
    assert verify(found) == ()


async def test_sqlite_alone_makes_as_many_rows(tmp_path: Path) -> None:

    async with plain_sqlite(tmp_path / "plain.db", 8, 4) as measure:
        assert await measure() > 0
        with sqlite3.connect(tmp_path / "plain.db") as connection:
            assert connection.execute("SELECT stage, count(*) FROM effect GROUP BY 1").fetchall() == [
                ("done", 8)
            ]
        connection.close()


STANDIN = """
import functools

class DBOS:
    def __init__(self, config):
        assert config["system_database_url"] == "sqlite:///somewhere"

    def step():
        def wrap(function):
            @functools.wraps(function)
            async def call(number):
                with open("steps", "a") as out:
                    out.write(f"{number}\\n")
                return await function(number)
            return call
        return wrap

    def workflow():
        return lambda function: function

    def launch():
        pass

    def destroy():
        pass
"""


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `dbos` before the one that may be installed; it notes its steps in a file."""
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(journaling.__file__).parents[2])])
    )
    monkeypatch.chdir(tmp_path)
    module = tmp_path / "dbos.py"
    module.write_text(STANDIN)
    return module


async def test_the_other_process_runs_the_steps_it_is_told(standin: Path) -> None:
    async with dbos_step("sqlite:///somewhere", 8, 4) as measure:
        assert await measure() > 0
    steps = (standin.parent / "steps").read_text().split()
    assert steps[0] == "0", "the one that shows that it works"
    assert sorted(steps[1:]) == sorted(["0", "1"] * 4)


async def test_a_process_that_does_not_start_says_why(standin: Path) -> None:
    standin.write_text("raise SystemExit('no licence for this machine')")
    with pytest.raises(ConfigurationError, match="no licence for this machine"):
        async with dbos_step("sqlite:///somewhere", 8, 4):
            pass


def test_one_that_does_not_start_leaves_the_other_rows(
    standin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.write_text("raise SystemExit('no licence for this machine')")
    monkeypatch.setattr(journaling, "AT_ONCE", (1,))
    monkeypatch.setattr(
        journaling, "missing", lambda module, _package: "" if module == "dbos" else "not here"
    )
    rows = by_case(journaling.rows(QUICK))
    assert "no licence for this machine" in rows["SQLite: a step of DBOS, 1 at once"].note
    assert not rows["SQLite: durability power, 1 at once"].skipped
