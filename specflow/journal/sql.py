"""The journal in a database. Nothing is returned to the caller before it is durable."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from specflow.clock import Clock, SystemClock
from specflow.journal import operations, rules
from specflow.journal.absence import ABSENCE_SECONDS, Absences
from specflow.journal.branch_operations import Abort, Adopt, AdoptPatched
from specflow.journal.call_transactions import CallTransactions, OffersTransactions
from specflow.journal.claiming import patiently
from specflow.journal.database import BUSY_SECONDS, Database, Durability
from specflow.journal.envelope import pack
from specflow.journal.operations import Move
from specflow.journal.orphan_operations import Condemn, Readopt
from specflow.journal.owner import known_dead
from specflow.journal.reads import Queries, Reader
from specflow.journal.record import (
    Intent,
    Kept,
    Lease,
    Outcome,
    PredictionRow,
    SessionRow,
    Snapshot,
)
from specflow.journal.repeat_operations import Repeat, record_at
from specflow.journal.rules import ORPHANED
from specflow.journal.schema import prepare
from specflow.journal.session_operations import (
    CloseSession,
    DecideSession,
    Missed,
    OpenSession,
    Release,
    ReopenSession,
    TakeSession,
)
from specflow.journal.sql_approvals import SqlApprovals
from specflow.journal.text import dump, identifiers
from specflow.journal.writer import Writer
from specflow.lifecycle import Stage
from specflow.sealing.sealed import Sealed

LEASE_SECONDS = 30.0
"""How long a session stays with an owner that shows no sign of life."""


class SqlJournal(SqlApprovals, OffersTransactions):
    """`specflow.journal.port.Journal` on SQLite or PostgreSQL; made by `open`.

    Methods may be awaited from any event loop and thread of the process that opened it. Cancelling an
    await does not cancel the write.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        lease_seconds: float,
        is_dead: Callable[[str], bool],
        absence_seconds: float,
    ) -> None:
        self.database = database
        self._lease_seconds = lease_seconds
        self._is_dead = is_dead
        self._queries = Queries(database)
        self._reader = Reader(database)
        self._absences = Absences(absence_seconds)
        self._writer = Writer(database, clock, lease_seconds)
        self._calls = CallTransactions.of(database, clock)
        self._token = self._writer.token
        # A program that ends without closing still writes what it queued.
        atexit.register(self.close)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        durability: Durability = "power",
        create: bool = True,
        clock: Clock | None = None,
        lease_seconds: float = LEASE_SECONDS,
        busy_seconds: float = BUSY_SECONDS,
        is_dead: Callable[[str], bool] = known_dead,
        absence_seconds: float = ABSENCE_SECONDS,
    ) -> SqlJournal:
        """Open the journal at `sqlite:///file` or `postgresql://...`.

        `durability` is what a confirmed write survives: `process`, the death of this process (no
        fsync); `power`, a power cut as well. An SQLite file is created (when `create`) and upgraded by
        itself; PostgreSQL is upgraded with `specflow db upgrade`. `clock` stamps rows and is read on
        another thread; leases go by the database's clock. `absence_seconds` is how long an owner's lock
        must be missing before it counts as dead (PostgreSQL): the time a living one has to connect again.

        Raises:
            JournalError: saying what is wrong with the database and what to do.
        """
        database = Database(
            url, durability=durability, busy_seconds=busy_seconds, stall_seconds=lease_seconds / 2
        )
        prepare(database, create=create)
        database.pin()
        return cls(
            database,
            clock=clock or SystemClock(),
            lease_seconds=lease_seconds,
            is_dead=is_dead,
            absence_seconds=absence_seconds,
        )

    async def open_session(
        self, session_id: str, *, thread: str, owner: str, tenant: str = "", run_key: str = ""
    ) -> Lease:
        rules.check_session(session_id, thread, owner, tenant, run_key)
        named = {"session_id": session_id, "thread": thread, "tenant": tenant, "run_key": run_key}
        seconds, token = self._lease_seconds, self._token
        opening = OpenSession(owner=owner, lease_seconds=seconds, presence=token, **named)
        lease: Lease = await self._writer.ask(opening)
        return lease

    async def take_session(self, session_id: str, *, owner: str, force: bool = False) -> Lease | None:
        rules.check_session(session_id, "", owner, "")
        taking = TakeSession(
            session_id=session_id,
            owner=owner,
            force=force,
            lease_seconds=self._lease_seconds,
            presence=self._token,
            known_dead=self._is_dead,
            absences=self._absences,
        )
        while True:
            answer: Lease | Missed | None = await self._writer.ask(taking)
            if not isinstance(answer, Missed):
                return answer
            await asyncio.sleep(answer.seconds)

    async def reopen_session(self, session_id: str, *, owner: str) -> Lease | None:
        rules.check_session(session_id, "", owner, "")
        reopening = ReopenSession(
            session_id=session_id, owner=owner, lease_seconds=self._lease_seconds, presence=self._token
        )
        lease: Lease | None = await self._writer.ask(reopening)
        return lease

    async def active_sessions(self, thread: str | None = None) -> tuple[SessionRow, ...]:
        return await self._read(self._queries.active_sessions, thread)

    async def newest_session(self, thread: str, *, tenant: str = "") -> SessionRow | None:
        return await self._read(self._queries.newest_session, thread, tenant)

    async def abandoned_sessions(self) -> tuple[SessionRow, ...]:
        return await self._read(self._queries.abandoned_sessions, self._is_dead, self._absences)

    async def session(self, session_id: str) -> SessionRow | None:
        return await self._read(self._queries.session, session_id)

    async def release_session(self, lease: Lease) -> None:
        await self._writer.ask(Release(leases=(lease,)))

    async def decide_session(self, lease: Lease, decision: str) -> bool:
        rules.check_decision(decision)
        return await self._writer.ask(DecideSession(lease=lease, decision=decision)) is True

    async def close_session(self, lease: Lease, *, decision: str = "completed") -> None:
        rules.check_decision(decision)
        await self._writer.ask(CloseSession(lease=lease, decision=decision))

    async def kept_by_run(self, thread: str, run_key: str, *, tenant: str = "") -> tuple[Kept, ...]:
        return await self._read(self._queries.kept_by_run, thread, run_key, tenant)

    async def run_taken_back(self, thread: str, run_key: str, *, tenant: str = "") -> bool:
        return await self._read(self._queries.run_taken_back, thread, run_key, tenant)

    async def doubtful_by_run(self, thread: str, run_key: str, *, tenant: str = "") -> tuple[Kept, ...]:
        return await self._read(self._queries.doubtful_by_run, thread, run_key, tenant)

    async def readopt(self, lease: Lease, effect_id: str, adopted_by: str, *, moment: str = "") -> bool:
        again = Readopt(lease=lease, effect_id=effect_id, adopted_by=adopted_by, moment=moment)
        return await self._named(again)

    async def condemn(
        self, lease: Lease, effect_ids: Sequence[str], *, seen: Collection[str] = (), cause: str = ORPHANED
    ) -> tuple[Lease, ...]:
        condemning = Condemn(
            lease=lease,
            effect_ids=tuple(effect_ids),
            seen=frozenset(seen),
            cause=cause,
            lease_seconds=self._lease_seconds,
            presence=self._token,
        )
        leases: tuple[Lease, ...] = await self._writer.ask(condemning)
        return leases

    async def intend(self, lease: Lease, intent: Intent) -> int:
        operation = operations.intend(lease, intent)
        seq: int = await patiently(lambda: self._writer.ask(operation), intent)
        return seq

    async def record(self, lease: Lease, effect_id: str, outcome: Outcome, *, rev: int | None = None) -> bool:
        return await self._writer.ask(record_at(lease, effect_id, outcome, rev)) is True

    async def repeat(self, lease: Lease, effect_id: str, *, rev: int, call_deadline: float) -> bool:
        repeating = Repeat(lease=lease, effect_id=effect_id, rev=rev, call_deadline=call_deadline)
        return await self._writer.ask(repeating) is True

    async def adopt(self, lease: Lease, effect_id: str, adopted_by: str, *, moment: str = "") -> bool:
        adopting = Adopt(lease=lease, effect_id=effect_id, adopted_by=adopted_by, moment=moment)
        return await self._named(adopting)

    async def adopt_patched(
        self, lease: Lease, effect_id: str, patch_id: str, adopted_by: str, *, moment: str = ""
    ) -> bool:
        given = {"effect_id": effect_id, "patch_id": patch_id, "adopted_by": adopted_by, "moment": moment}
        return await self._named(AdoptPatched(lease=lease, **given))

    async def _named(self, naming: Adopt | AdoptPatched | Readopt) -> bool:
        identifiers((("adopted_by", naming.adopted_by),))
        return await self._writer.ask(naming) is True

    async def abort(self, lease: Lease, branch_id: str, cause: str) -> bool:
        return await self._writer.ask(Abort(lease=lease, branch_id=branch_id, cause=cause)) is True

    async def move(
        self,
        lease: Lease,
        effect_id: str,
        source: Stage,
        target: Stage,
        *,
        cause: str = "",
        comp_key: str | None = None,
        comp_args: Mapping[str, Any] | None = None,
        comp_sealed: Sealed | None = None,
        not_before: float | None = None,
        error: str | None = None,
    ) -> bool:
        rules.check_move(source, target)
        given = None if comp_args is None else dump(pack(comp_args, comp_sealed), "the undo's arguments")
        move = Move(
            lease=lease,
            effect_id=effect_id,
            source=source,
            target=target,
            cause=cause,
            comp_key=comp_key,
            comp_args=given,
            not_before=not_before,
            error=error,
        )
        return await self._writer.ask(move) is True

    async def predictions(self, most: int) -> tuple[PredictionRow, ...]:
        return await self._read(self._queries.predictions, most)

    def note(self, prediction: PredictionRow) -> None:
        self._writer.note(prediction)

    async def snapshot(self) -> Snapshot:
        return await self._read(self._queries.snapshot)

    def close(self) -> None:
        """`aclose` for code without an event loop; blocks until everything is written."""
        if self._writer.inherited:
            return  # in a child made by fork: the journal is its parent's
        for part in (self._calls, self._writer, self._reader):
            part.close()
        atexit.unregister(self.close)

    async def aclose(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.close)
