"""The table of pending calls: what was started early and may still be adopted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from specflow.effects.call import Call
from specflow.effects.footprint import Keys
from specflow.effects.tool import ToolSpec
from specflow.execution.door import Done
from specflow.policy.settings import ToolSettings
from specflow.policy.verdict import Verdict
from specflow.prediction.candidate import Candidate


class Standing(StrEnum):
    """LIVE may be adopted; CLAIMED belongs to the real run, RETIRED to nobody: both for ever."""

    LIVE = "live"
    CLAIMED = "claimed"
    RETIRED = "retired"


@dataclass(slots=True, kw_only=True, eq=False)
class Speculation:
    """One call started early, as the only leaf of its branch. Times on the runtime's monotonic clock.

    `needs` are early writes that it builds on, `dependents` those that build on it. `decided` says that it
    is adopted (`kept`) or lost, `over` that nothing more happens to it. `called` is False where it was
    withheld in the last moment.
    """

    speculation_id: str
    effect_id: str
    branch_id: str
    turn_id: str
    lane: str
    key: str
    candidate: Candidate
    tool: ToolSpec
    settings: ToolSettings
    verdict: Verdict
    footprint: Keys
    started: float
    finished: float | None = None
    standing: Standing = Standing.LIVE
    expected: bool = False
    awaited: bool = False
    supporters: set[str] = field(default_factory=set)
    work: asyncio.Task[Done] | None = None
    preparing: bool = False
    called: bool = True
    claims: tuple[str, ...] = ()
    needs: tuple[Speculation, ...] = ()
    dependents: list[Speculation] = field(default_factory=list)
    kept: bool = False
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Around what is waited for before the tool is called: until then it can still be cancelled."""
        self.preparing = True
        try:
            yield
        finally:
            self.preparing = False

    @property
    def call(self) -> Call:
        return self.candidate.call

    @property
    def writes(self) -> bool:
        return self.verdict.effect.writes

    @property
    def running(self) -> bool:
        return self.work is not None and not self.work.done()


class PendingTable:
    """Live speculations by match key; among equals the first registered comes first.

    Taking the first *finished* instead would favour short answers.
    """

    def __init__(self) -> None:
        self._live: dict[str, list[Speculation]] = {}

    def register(self, speculation: Speculation) -> None:
        """Make a speculation available for adoption."""
        self._live.setdefault(speculation.key, []).append(speculation)

    def first(self, key: str) -> Speculation | None:
        """The first live speculation of that key, or None."""
        entries = self._live.get(key)
        return entries[0] if entries else None

    def take(self, speculation: Speculation, standing: Standing) -> bool:
        """Take a live speculation out of the table for good. False: somebody was first."""
        # INVARIANT: a speculation leaves LIVE once; adoption and retirement cannot both have it.
        if speculation.standing is not Standing.LIVE:
            return False
        speculation.standing = standing
        entries = self._live[speculation.key]
        entries.remove(speculation)
        if not entries:
            del self._live[speculation.key]
        return True

    def __iter__(self) -> Iterator[Speculation]:
        return iter([item for entries in self._live.values() for item in entries])

    def __len__(self) -> int:
        return sum(map(len, self._live.values()))
