from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from specflow.clock import SystemClock
from specflow.journal.database import Database
from specflow.journal.memory import MemoryJournal
from specflow.journal.port import Journal
from specflow.journal.schema import upgrade
from specflow.journal.sql import SqlJournal
from specflow.testing.journal_contract import Make
from specflow.testing.postgres import PostgresServer, postgres

__all__ = ["postgres"]

KINDS = [
    "memory",
    "sqlite-process",
    "sqlite-power",
    pytest.param("postgres-power", marks=pytest.mark.postgres),
    pytest.param("postgres-process", marks=pytest.mark.postgres),
]


@pytest.fixture(scope="session")
def postgres_url(postgres: PostgresServer) -> str:
    """An upgraded database that all tests share; each keeps to rows of its own."""
    url = postgres.new_database()
    upgrade(Database(url))
    return url


@pytest.fixture(params=KINDS)
def make_journal(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a journal of each kind."""
    kind = str(request.param)

    def make(is_dead: Callable[[str], bool]) -> Journal:
        if kind == "memory":
            return MemoryJournal(SystemClock(), is_dead=is_dead)
        store, durability = kind.split("-")
        url = f"sqlite:///{tmp_path}/journal.db" if store == "sqlite" else shared
        return SqlJournal.open(url, durability=durability, is_dead=is_dead)  # type: ignore[arg-type] # from KINDS

    shared = str(request.getfixturevalue("postgres_url")) if kind.startswith("postgres") else ""
    return make


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the test's own, ready."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    fresh = server.new_database()
    upgrade(Database(fresh))
    return fresh
