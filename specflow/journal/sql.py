"""The journal in a database. Nothing is returned to the caller before it is durable."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from specflow.clock import Clock, SystemClock
from specflow.journal import operations, rules
from specflow.journal.absence import ABSENCE_SECONDS, Absences
from specflow.journal.branch_operations import Abort, Adopt
from specflow.journal.claiming import patiently
from specflow.journal.database import BUSY_SECONDS, Database, Durability
from specflow.journal.envelope import pack
from specflow.journal.operations import Move
from specflow.journal.orphan_operations import Condemn, Readopt
from specflow.journal.owner import known_dead
from specflow.journal.reads import Queries, Reader
from specflow.journal.record import (
    EffectRow,
    Intent,
    Kept,
    Lease,
    Outcome,
    PredictionRow,
    SessionRow,
    Snapshot,
)
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
from specflow.journal.text import dump, identifiers
from specflow.journal.writer import Writer
from specflow.lifecycle import Stage
from specflow.sealing.sealed import Sealed

T = TypeVar("T")

LEASE_SECONDS = 30.0
"""How long a session stays with an owner that shows no sign of life."""


class SqlJournal:
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
        self._database = database
        self._lease_seconds = lease_seconds
        self._is_dead = is_dead
        self._queries = Queries(database)
        self._reader = Reader(database)
        self._absences = Absences(absence_seconds)
        self._writer = Writer(database, clock, lease_seconds)
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
        lease: Lease = await self._writer.ask(
            OpenSession(
                session_id=session_id,
                thread=thread,
                owner=owner,
                tenant=tenant,
                run_key=run_key,
                lease_seconds=self._lease_seconds,
                presence=self._token,
            )
        )
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
        lease: Lease | None = await self._writer.ask(
            ReopenSession(
                session_id=session_id, owner=owner, lease_seconds=self._lease_seconds, presence=self._token
            )
        )
        return lease

    async def active_sessions(self, thread: str | None = None) -> tuple[SessionRow, ...]:
        return await self._read(self._queries.active_sessions, thread)

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

    async def readopt(self, lease: Lease, effect_id: str, adopted_by: str) -> bool:
        identifiers((("adopted_by", adopted_by),))
        readopting = Readopt(lease=lease, effect_id=effect_id, adopted_by=adopted_by)
        return await self._writer.ask(readopting) is True

    async def condemn(
        self, lease: Lease, effect_ids: Sequence[str], *, seen: Collection[str] = ()
    ) -> tuple[Lease, ...]:
        leases: tuple[Lease, ...] = await self._writer.ask(
            Condemn(
                lease=lease,
                effect_ids=tuple(effect_ids),
                seen=frozenset(seen),
                lease_seconds=self._lease_seconds,
                presence=self._token,
            )
        )
        return leases

    async def intend(self, lease: Lease, intent: Intent) -> int:
        operation = operations.intend(lease, intent)
        seq: int = await patiently(lambda: self._writer.ask(operation), intent)
        return seq

    async def record(self, lease: Lease, effect_id: str, outcome: Outcome) -> bool:
        return await self._writer.ask(operations.record(lease, effect_id, outcome)) is True

    async def adopt(self, lease: Lease, effect_id: str, adopted_by: str) -> bool:
        identifiers((("adopted_by", adopted_by),))
        return await self._writer.ask(Adopt(lease=lease, effect_id=effect_id, adopted_by=adopted_by)) is True

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

    async def effect(self, effect_id: str) -> EffectRow | None:
        return await self._read(self._queries.effect, effect_id)

    async def adopted(self, adopted_by: str) -> EffectRow | None:
        return await self._read(self._queries.adopted, adopted_by)

    async def unsettled(self, session_id: str) -> tuple[EffectRow, ...]:
        return await self._read(self._queries.unsettled, session_id)

    async def effects(self, session_id: str) -> tuple[EffectRow, ...]:
        return await self._read(self._queries.effects, session_id)

    async def dependents(self, effect_id: str) -> tuple[EffectRow, ...]:
        return await self._read(self._queries.dependents, effect_id)

    async def stuck_tools(self, tenant: str) -> Mapping[str, str]:
        return await self._read(self._queries.stuck_tools, tenant)

    async def branch_state(self, branch_id: str) -> str | None:
        return await self._read(self._queries.branch_state, branch_id)

    async def open_branches(self, session_id: str) -> tuple[str, ...]:
        return await self._read(self._queries.open_branches, session_id)

    def note(self, prediction: PredictionRow) -> None:
        self._writer.note(prediction)

    async def snapshot(self) -> Snapshot:
        return await self._read(self._queries.snapshot)

    def close(self) -> None:
        """`aclose` for code without an event loop; blocks until everything is written.

        In a child made by fork it does nothing: the journal is its parent's.
        """
        if self._writer.inherited:
            return
        self._writer.close()
        self._reader.close()
        atexit.unregister(self.close)

    async def aclose(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    async def _read(self, query: Callable[..., T], *values: Any) -> T:
        self._writer.check_process()
        return await self._reader.ask(query, *values)
