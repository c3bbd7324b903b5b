"""What a database complains about, in words that say how to mend it."""

from __future__ import annotations

from specflow.errors import JournalError

_SQLITE = (
    ("readonly", "is read-only", "give this process write permission to the file and its directory"),
    ("permission denied", "cannot be opened", "check that this user may read and write there"),
    ("unable to open", "cannot be opened", "check that the directory exists and this user may write there"),
    ("disk is full", "is on a full disk", "free some space; nothing was written"),
    ("full", "is on a full disk", "free some space; nothing was written"),
    ("locked", "is locked by another process", "wait for it or stop it; nothing was written"),
    ("busy", "is locked by another process", "wait for it or stop it; nothing was written"),
    ("not a database", "is not an SQLite database", "point --db at the journal, or at a new file"),
    ("malformed", "is damaged", "restore it from a backup; try: sqlite3 FILE 'PRAGMA integrity_check'"),
    ("disk i/o", "cannot be read or written", "check the disk; nothing was written"),
)
_POSTGRES = (
    ("password authentication", "refused the user or password", "check the URL, or PGPASSWORD"),
    ("no password supplied", "wants a password", "put one in the URL, or in PGPASSWORD"),
    ("does not exist", "has no such database, role or table", "create it, or correct the URL"),
    ("permission denied", "denies a permission", "grant this role rights on the sf_ tables"),
    ("read-only transaction", "is read-only", "connect to the primary"),
    ("lock timeout", "is locked by another transaction", "find it in pg_stat_activity; nothing was written"),
    ("too many", "has no connection left", "raise max_connections or close some"),
    ("no space left", "is on a full disk", "free some space"),
    ("shutting down", "is shutting down", "try again when it is up"),
    ("starting up", "is starting up", "try again when it is up"),
    ("failed to resolve", "has a host name nobody knows", "check the host in the URL"),
    ("refused", "does not accept connections", "is the server running, and is the port right?"),
    ("no such file or directory", "does not accept connections", "is the server running?"),
    ("timeout", "did not answer in time", "check the network"),
    ("closed", "has closed the connection", "check the server's log; what was not confirmed may be missing"),
)


def explain(error: BaseException, where: str, *, sqlite: bool) -> JournalError:
    """The error of a driver as a JournalError; `where` is the database's URL without its password."""
    first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    low = str(error).lower()
    for mark, problem, hint in _SQLITE if sqlite else _POSTGRES:
        if mark in low:
            return JournalError(f"the journal {where} {problem}: {first_line}", hint=hint, database=where)
    return JournalError(
        f"the journal {where} failed: {type(error).__name__}: {first_line}",
        hint="what was not confirmed counts as not written",
        database=where,
    )
