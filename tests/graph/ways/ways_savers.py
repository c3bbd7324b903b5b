"""The checkpointers, by name, in both colours; each is empty for a thread that was never seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from specflow.journal.database import Database
from specflow.journal.schema import upgrade

SAVERS = ("none", "memory", "SQLite", "PostgreSQL")


def database_for(saver: str, request: pytest.FixtureRequest) -> str:
    """The URL of the database of a saver that needs a server; empty for the others."""
    if saver != "PostgreSQL":
        return ""
    url: str = request.getfixturevalue("checkpoint_database")
    return url


def set_up(url: str) -> str:
    """Make the tables of checkpoints and journal, once for all cells; returns the URL as psycopg wants it."""
    upgrade(Database(url))
    plain = url.replace("+psycopg", "")
    with PostgresSaver.from_conn_string(plain) as saver:
        saver.setup()
    return plain


@asynccontextmanager
async def saver_of(kind: str, folder: Path, url: str, *, asynchronous: bool) -> AsyncIterator[Any]:
    """A saver; None for `none`."""
    if kind == "none":
        yield None
    elif kind == "memory":
        yield InMemorySaver()
    elif kind == "SQLite":
        file = str(folder / "checkpoints.db")
        if asynchronous:
            async with AsyncSqliteSaver.from_conn_string(file) as saver:
                yield saver
        else:
            with SqliteSaver.from_conn_string(file) as saver_sync:
                yield saver_sync
    elif asynchronous:
        async with AsyncPostgresSaver.from_conn_string(url) as saver:
            yield saver
    else:
        with PostgresSaver.from_conn_string(url) as saver_sync:
            yield saver_sync
