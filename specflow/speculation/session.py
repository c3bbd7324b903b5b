"""One logical run of an agent: its pending table, its writes, its lease on the journal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from specflow.effects.footprint import Keys
from specflow.identity import IdSource
from specflow.journal.port import Journal
from specflow.journal.record import Lease
from specflow.probe import reach
from specflow.settlement.recover import settle_session
from specflow.settlement.rest import Settler
from specflow.speculation.freshness import WriteLog
from specflow.speculation.pending import PendingTable, Speculation


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKey:
    """Who a session belongs to: `thread` is the conversation (empty when there is none), `run` tells
    runs without a thread apart.
    """

    thread: str
    run: str = ""


class Session:
    """State of one run, on one event loop. Nothing in it is shared with another session."""

    def __init__(
        self, key: SessionKey, journal: Journal, settler: Settler, ids: IdSource, *, owner: str, tenant: str
    ) -> None:
        self.key = key
        self.session_id = ids.new("ses")
        self.pending = PendingTable()
        self.writes = WriteLog()
        self.undoing: dict[asyncio.Task[None], Keys] = {}
        self.in_flight: list[Keys] = []
        self.stuck: dict[str, Speculation] = {}
        self.wasted_usd = 0.0
        self._journal = journal
        self._settler = settler
        self._owner = owner
        self._tenant = tenant
        self._lease: Lease | None = None
        self._recovered = False
        self._lock = asyncio.Lock()

    @property
    def opened(self) -> bool:
        """Whether the journal knows this session."""
        return self._lease is not None

    async def ready(self) -> None:
        """Recover what an earlier process left open in this conversation, before anything new is done."""
        if self._recovered:
            return
        async with self._lock:
            await self._recover()

    async def lease(self) -> Lease:
        """The lease on the journal's session, opened on first use."""
        if self._lease is not None:
            return self._lease
        async with self._lock:
            await self._recover()
            if self._lease is None:
                self._lease = await self._journal.open_session(
                    self.session_id, thread=self.key.thread, owner=self._owner, tenant=self._tenant
                )
            return self._lease

    async def _recover(self) -> None:
        if self._recovered:
            return
        if self.key.thread:
            for row in await self._journal.active_sessions(self.key.thread):
                # The thread goes on here: whoever held it before is fenced off.
                taken = await self._journal.take_session(row.session_id, owner=self._owner, force=True)
                if taken is not None:
                    reach("recover.taken")
                    await settle_session(self._journal, self._settler, taken, cause="resumed")
        self._recovered = True

    async def close(self) -> None:
        """Wait for what is being undone, bring everything to rest in the journal, close the session."""
        while self.undoing:
            await asyncio.wait(set(self.undoing))
        if self._lease is not None:
            await settle_session(self._journal, self._settler, self._lease, cause="run_ended")
            self._lease = None
