"""The journal: can it be reached, are its tables ours, and what has been left in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from specflow.errors import JournalError
from specflow.graph.remark import Level, Remark
from specflow.journal import schema
from specflow.journal.database import Database
from specflow.journal.owner import known_dead
from specflow.journal.reads import snapshot_of
from specflow.journal.tables import HEAD
from specflow.lifecycle import SessionState, Stage

AREA = "journal"
_SURVIVES = {
    "power": "power: what is confirmed survives a power cut",
    "process": "process: what is confirmed survives kill -9, not a power cut or a crash of the machine",
}


def of_journal(url: str, *, durability: str = "") -> Iterator[Remark]:
    """Everything about the journal at `url`. Nothing is created, migrated or written.

    Raises:
        JournalError: `url` names no database that a journal can be in.
    """
    database = Database(url)
    where = database.where
    if database.file is not None and not database.file.exists():
        yield _wrong(where, "there is no such file", "check the path; the first run with it creates it")
        return
    try:
        version = schema.current(database)
    except JournalError as error:
        yield _wrong(where, error.message, error.hint or "check that the database runs and lets you in")
        return
    if version != HEAD:
        yield _version(where, version, sqlite=database.sqlite)
        return
    yield Remark(area=AREA, subject=where, found=f"can be read, at version {HEAD}")
    if durability:
        mend = "" if durability == "power" else 'durability="power" where money or bookings depend on it'
        yield Remark(area=AREA, subject="durability", found=_SURVIVES[durability], mend=mend)
    yield from _contents(url, where)


def _version(where: str, version: str | None, *, sqlite: bool) -> Remark:
    if version is not None and version > HEAD:
        return _wrong(where, f"is at version {version}, this specflow knows {HEAD}", "upgrade specflow")
    found = f"is at version {version}, not {HEAD}" if version else "has no journal's tables yet"
    if sqlite:
        return Remark(area=AREA, subject=where, found=f"{found}; the next run with it changes that by itself")
    return _wrong(where, found, f"specflow db upgrade --db {where}")


def _contents(url: str, where: str) -> Iterator[Remark]:
    try:
        snapshot = snapshot_of(url)
    except JournalError as error:
        yield _wrong(where, error.message, error.hint)
        return
    active = [row for row in snapshot.sessions if row.state is SessionState.ACTIVE]
    dead = [row for row in active if known_dead(row.owner)]
    if dead:
        yield Remark(
            area=AREA,
            subject="sessions",
            level=Level.WARNING,
            found=f"{len(active)} open, {len(dead)} of them left by processes that have died",
            mend=f"specflow journal recover --db {where} --tools pkg.mod:TOOLS, or await rt.recover()",
        )
    else:
        yield Remark(
            area=AREA, subject="sessions", found=f"{len(active)} open, {len(snapshot.sessions)} in all"
        )
    stuck = Counter(row.tool for row in snapshot.effects if row.stage is Stage.STUCK)
    for tool, count in sorted(stuck.items()):
        first = next(row for row in snapshot.effects if row.stage is Stage.STUCK and row.tool == tool)
        yield Remark(
            area=AREA,
            subject=tool,
            level=Level.PROBLEM,
            found=f"not called early until what is stuck is resolved: {count}, first {first.effect_id}",
            mend=f"specflow journal list --db {where} --stuck, then specflow journal resolve",
        )


def _wrong(subject: str, found: str, mend: str) -> Remark:
    return Remark(area=AREA, subject=subject, level=Level.PROBLEM, found=found, mend=mend)
