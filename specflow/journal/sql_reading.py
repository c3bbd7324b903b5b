"""What is read of a journal in a database, one effect or one session at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from specflow.journal.reads import Queries, Reader
from specflow.journal.record import EffectRow
from specflow.journal.writer import Writer

T = TypeVar("T")


class SqlReading:
    """The part of `SqlJournal` that looks effects up."""

    _writer: Writer
    _reader: Reader
    _queries: Queries

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

    async def _read(self, query: Callable[..., T], *values: Any) -> T:
        self._writer.check_process()
        return await self._reader.ask(query, *values)
