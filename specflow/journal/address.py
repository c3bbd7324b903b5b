"""Where a journal is: its URL, and which file an SQLite URL means."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from specflow.errors import JournalError


def parse(url: str) -> URL:
    """The URL of a journal, with its driver.

    Raises:
        JournalError: it is none.
    """
    try:
        parsed = sa.make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise JournalError(
            "that is not the URL of a journal", hint="sqlite:///file.db or postgresql://user@host/name"
        ) from error
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        return parsed
    raise JournalError(
        f"a journal cannot be kept in {parsed.drivername}",
        hint="use sqlite:///file.db or postgresql+psycopg://user@host/name",
    )


def identity(path: Path) -> tuple[int, int] | None:
    """Which file has that name; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
