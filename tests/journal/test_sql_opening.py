"""What a user is told when the database is not what it should be."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from specflow.errors import JournalError
from specflow.journal import schema
from specflow.journal.database import Database
from specflow.journal.schema import current, downgrade, prepare, upgrade
from specflow.journal.sql import SqlJournal
from specflow.journal.tables import HEAD
from specflow.testing.postgres import PostgresServer


def refusal(url: str, **options: object) -> str:
    with pytest.raises(JournalError) as caught:
        SqlJournal.open(url, **options).close()  # type: ignore[arg-type] # options by name, as tests want them
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("nonsense", "not the URL of a journal"),
        ("mysql://u@h/d", "cannot be kept in mysql"),
        ("oracle+nothere://u@h/d", "not the URL of a journal"),
        ("sqlite://", "is not a file"),
        ("sqlite:///:memory:", "is not a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "is not a file"),
        ("sqlite:////nowhere/at/all/x.db", "no directory /nowhere/at/all"),
    ],
)
def test_an_impossible_url_is_refused_with_a_hint(url: str, part: str) -> None:
    assert part in refusal(url)


def test_a_directory_is_not_a_journal(tmp_path: Path) -> None:
    assert "cannot be opened" in refusal(f"sqlite:///{tmp_path}")


def test_another_kind_of_file_is_not_a_journal(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_bytes(b"this is not a database, it is a text" * 50)
    assert "is not an SQLite database" in refusal(f"sqlite:///{file}")
    assert file.read_bytes().startswith(b"this is not")


def test_a_missing_file_is_not_made_by_asking(tmp_path: Path) -> None:
    assert "there is no journal" in refusal(f"sqlite:///{tmp_path}/x.db", create=False)
    assert not (tmp_path / "x.db").exists()


def test_a_password_is_not_told() -> None:
    text = refusal("postgresql://me:secret@127.0.0.1:1/x")
    assert "does not accept connections" in text
    assert "secret" not in text


def test_an_unknown_durability_is_refused(tmp_path: Path) -> None:
    assert "durability" in refusal(f"sqlite:///{tmp_path}/x.db", durability="paper")


def test_a_newer_journal_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    SqlJournal.open(url).close()
    versions(tmp_path / "x.db", "9999")
    assert "upgrade this one" in refusal(url)
    with pytest.raises(JournalError, match="newer specflow"):
        upgrade(Database(url))


def test_tables_of_unknown_version_are_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    SqlJournal.open(url).close()
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("DROP TABLE sf_alembic_version")
    connection.close()
    assert "no row in sf_alembic_version" in refusal(url)


def versions(file: Path, version: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE sf_alembic_version SET version_num = ?", [version])
    connection.close()


def test_an_old_journal_of_unknown_version_is_not_guessed_at(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    SqlJournal.open(url).close()
    versions(tmp_path / "x.db", "0000")
    text = refusal(url)
    assert "migration" in text
    assert "0000" in text
    assert "nothing was changed" in text
    assert current(Database(url)) == "0000"


def test_a_migration_to_nowhere_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    SqlJournal.open(url).close()
    with pytest.raises(JournalError, match="nothing was changed"):
        downgrade(Database(url), "nonsense")
    assert current(Database(url)) == HEAD


async def test_who_comes_second_to_a_fresh_file_finds_it_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    first = SqlJournal.open(url)
    await first.open_session("s", thread="t", owner="o")
    # It had looked before the first one made the tables.
    with monkeypatch.context() as before:
        before.setattr(schema, "current", lambda _database: None)
        second = SqlJournal.open(url)
    assert [row.session_id for row in await second.active_sessions()] == ["s"]
    await second.aclose()
    await first.aclose()


def reading(file: Path) -> sqlite3.Connection:
    """Somebody in the middle of a query on a file that is not in WAL mode yet."""
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE theirs (x)")
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM theirs").fetchall()
    return connection


def test_a_fresh_journal_in_a_file_that_others_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "UPGRADE_SECONDS", 0.1)
    holder = reading(tmp_path / "x.db")
    try:
        text = refusal(f"sqlite:///{tmp_path}/x.db")
    finally:
        holder.close()
    assert "WAL mode" in text
    assert "stop whatever holds the file" in text


def test_a_fresh_journal_waits_for_others_who_read_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = reading(tmp_path / "x.db")
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        holder.close()

    monkeypatch.setattr("specflow.journal.schema.time.sleep", sleep)
    SqlJournal.open(f"sqlite:///{tmp_path}/x.db").close()
    assert len(waited) == 1
    assert current(Database(f"sqlite:///{tmp_path}/x.db")) == HEAD


def test_a_locked_file_is_waited_for_and_then_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    SqlJournal.open(url).close()
    holder = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(JournalError, match="locked by another process"):
            upgrade(Database(url, busy_seconds=0.1))
    finally:
        holder.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others may read. pytest's own lie in one that each of its runs closes again."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_read_only_file_is_named(open_folder: Path) -> None:
    # As root every file may be written; the child gives that up first.
    SqlJournal.open(f"sqlite:///{open_folder}/x.db").close()
    program = (
        "import os\n"
        "from specflow.errors import JournalError\n"
        "from specflow.journal import schema, sql\n"
        f"sql.Database('sqlite:///{open_folder}/x.db').connect().close()\n"  # for its imports
        "os.setgid(65534); os.setuid(65534)\n"
        "import asyncio\n"
        "async def main():\n"
        f"    journal = sql.SqlJournal.open('sqlite:///{open_folder}/x.db')\n"
        "    await journal.open_session('s', thread='t', owner='o')\n"
        "try: asyncio.run(main())\n"
        "except JournalError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "read-only" in done.stdout, done


def test_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "install specflow[postgres]" in refusal("postgresql://127.0.0.1/x")


@pytest.mark.postgres
def test_postgres_is_upgraded_on_purpose(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    text = refusal(url)
    assert "specflow db upgrade --db postgresql+psycopg://postgres@127.0.0.1" in text
    assert upgrade(Database(url)) == (None, HEAD)
    SqlJournal.open(url).close()
    assert "has no such database" in refusal(postgres.url("absent"))


def test_a_fresh_file_needs_no_alembic(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from specflow.journal.sql import SqlJournal\n"
        f"SqlJournal.open('sqlite:///{tmp_path}/x.db').close()\n"
        "print('alembic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_eight_processes_may_open_a_fresh_file_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    start_together("prepare(Database(sys.argv[1]), create=True)", url)
    assert current(Database(url)) == HEAD


@pytest.mark.postgres
def test_eight_processes_may_upgrade_at_once(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    start_together("upgrade(Database(sys.argv[1]))", url)
    assert current(Database(url)) == HEAD
    prepare(Database(url), create=True)


def start_together(work: str, url: str) -> None:
    """Run `work` in eight processes that wait for each other before they begin."""
    program = (
        "import sys\n"
        "from specflow.journal.database import Database\n"
        "from specflow.journal.schema import prepare, upgrade\n"
        "print('ready', flush=True); sys.stdin.readline()\n" + work
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        _out, error = child.communicate(timeout=100)
        assert child.returncode == 0, error
