"""A supervisor: it looks all the time, and recovers a session as soon as its owner is gone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from specflow.effects.registry import ToolRegistry
from specflow.errors import JournalError, SpecflowError
from specflow.journal.port import Journal
from specflow.journal.record import SessionRow
from specflow.settlement.going_back import goes_back
from specflow.settlement.needs import missing_tools
from specflow.settlement.recover import AT_ONCE, Report, recover_session
from specflow.settlement.rest import Settler

EVERY = 0.05
"""Seconds between two looks."""

PAUSES = (1.0, 60.0)
"""Seconds before a session that could not be finished is tried again, at first and at most."""


MOST_REMEMBERED = 10_000
"""Lines that are not told twice."""


class News(StrEnum):
    """What a supervisor tells."""

    RECOVERED = "recovered"
    LEFT = "left"
    FAILED = "failed"
    DATABASE_GONE = "database_gone"
    DATABASE_BACK = "database_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell a person. `session_id` is empty, and `report` None, where none is concerned."""

    news: News
    session_id: str = ""
    report: Report | None = None
    text: str = ""


class Watch:
    """Looks at the journal `every` so many seconds until told to stop.

    Several may watch one journal: each session is recovered by one of them. A session that needs tools
    which this process does not know is left alone, and so is, for a while, one that could not be finished.
    """

    def __init__(
        self,
        journal: Journal,
        settler: Settler,
        registry: ToolRegistry,
        *,
        owner: str,
        tell: Callable[[Notice], None],
        every: float = EVERY,
    ) -> None:
        self._journal = journal
        self._settler = settler
        self._registry = registry
        self._owner = owner
        self._tell = tell
        self._every = every
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._pauses: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._told: set[str] = set()
        self._gone = False

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set; what was begun is then finished."""
        try:
            while not stop.is_set():
                await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await stop.wait()
        finally:
            await asyncio.gather(*self._at_work.values())

    async def _look(self) -> None:
        try:
            found = await self._journal.abandoned_sessions()
        except JournalError as error:
            if not self._gone:
                self._tell(Notice(news=News.DATABASE_GONE, text=str(error)))
            self._gone = True
            return
        if self._gone:
            self._gone = False
            self._tell(Notice(news=News.DATABASE_BACK))
        now = time.monotonic()
        for session in found:
            session_id = session.session_id
            if session_id not in self._at_work and self._not_before.get(session_id, 0.0) <= now:
                task = asyncio.create_task(self._recover(session), name=session_id)
                self._at_work[session_id] = task
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._at_work[task.get_name()]

    async def _recover(self, session: SessionRow) -> None:
        async with self._gate:
            try:
                done = await self._try(session)
            except SpecflowError as error:
                done = False
                self._once(session.session_id, News.FAILED, str(error))
            except Exception as error:  # noqa: BLE001 - one session must not end the watch over all others
                done = False
                self._once(session.session_id, News.FAILED, f"{type(error).__name__}: {error}")
        if done:
            self._pauses.pop(session.session_id, None)
            self._not_before.pop(session.session_id, None)
        else:
            pause = self._pauses.get(session.session_id, PAUSES[0])
            self._pauses[session.session_id] = min(2 * pause, PAUSES[1])
            self._not_before[session.session_id] = time.monotonic() + pause

    async def _try(self, session: SessionRow) -> bool:
        """Recover it; False: there is more to do, later."""
        session_id = session.session_id
        saga = await goes_back(self._journal, session)
        rows = await (self._journal.effects(session_id) if saga else self._journal.unsettled(session_id))
        missing = missing_tools(rows, self._registry, saga=saga)
        if missing:
            text = f"it needs tools that are not known here: {', '.join(missing)}"
            self._once(session_id, News.LEFT, text)
            return False
        report = await recover_session(self._journal, self._settler, session_id, owner=self._owner)
        if report.held:
            return True
        if report.compensated or report.stuck or not report.waiting or session_id not in self._pauses:
            self._tell(Notice(news=News.RECOVERED, session_id=session_id, report=report))
        return not report.waiting

    def _once(self, session_id: str, news: News, text: str) -> None:
        line = f"{session_id} {news} {text}"
        if line not in self._told:
            if len(self._told) >= MOST_REMEMBERED:
                self._told.clear()
            self._told.add(line)
            self._tell(Notice(news=news, session_id=session_id, text=text))
