"""The table of pending calls: what was started early and may still be adopted."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from specflow.effects.call import Call
from specflow.effects.footprint import Keys
from specflow.effects.tool import Runner, ToolSpec
from specflow.errors import ConflictError
from specflow.execution.order import Done
from specflow.execution.patience import Patience
from specflow.policy.settings import ToolSettings
from specflow.policy.verdict import Verdict
from specflow.prediction.candidate import Candidate
from specflow.speculation.branch import Branch
from specflow.speculation.freshness import WriteSpan
from specflow.speculation.odds import Source


class Standing(StrEnum):
    """LIVE may be adopted; CLAIMED belongs to the real run, RETIRED to nobody: both for ever."""

    LIVE = "live"
    CLAIMED = "claimed"
    RETIRED = "retired"


class Stay(StrEnum):
    """HOME: in the run that began it. KEPT: it waits for the next. CARRIED: in a later one."""

    HOME = "home"
    KEPT = "kept"
    CARRIED = "carried"


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Speculation:
    """One call started early, as the only leaf of its branch. Times on the runtime's monotonic clock.

    `homes` are the branches that hope for it: more than one where several guesses lead to the same read. It
    lives while one of them does. `above` is the hypothesis that it was started under (None: it was a guess
    about the very message that the model was writing), `presumed` tells it in words. `runner` runs it.
    `needs` are early writes that it builds on, `dependents` those that build on it. `decided` says that it
    is adopted (`kept`) or lost, `over` that nothing more happens to it. `called` is False where it was
    withheld in the last moment. `span` is what it writes, as others see it. `copied` says that its result is
    a copy of what the tool returned; there may be things that cannot be copied. `amendable`: a real call that
    is nearly this one may be made of it by its patch. `answered` counts calls that it has answered beside its
    own, `waited_for` those that wait for it now. `probability`, `value` (USD) and `source` are what the gate
    went by, `size` is that of its result in bytes. `stay`: whether it has outlived its run; `line`
    tells whether another process has had the conversation since it was begun.
    `spawn` is the context that it runs in. `misfire` says what was wrong with it, once it is lost.
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
    stay: Stay = Stay.HOME
    line: int = -1
    giving_up: asyncio.TimerHandle | None = None
    watched: asyncio.TimerHandle | None = None
    amendable: bool = False
    supporters: set[str] = field(default_factory=set)
    above: Branch | None = None
    presumed: str = ""
    homes: list[Branch] = field(default_factory=list)
    runner: Runner | None = None
    work: asyncio.Task[Done] | None = None
    preparing: bool = False
    called: bool = True
    entered: bool = False
    copied: bool = False
    probability: float = 0.0
    value: float = 0.0
    source: Source | None = None
    size: int = 0
    misfire: str = ""
    span: WriteSpan | None = None
    version: str = ""
    answered: int = 0
    waited_for: int = 0
    patience: Patience = field(default_factory=lambda: Patience(None))
    spawn: contextvars.Context | None = None
    claims: tuple[str, ...] = ()
    needs: tuple[Speculation, ...] = ()
    dependents: list[Speculation] = field(default_factory=list)
    kept: bool = False
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Around what is waited for before the tool is called: until then it can still be cancelled.

        Raises:
            ConflictError: it is lost by now.
        """
        # INVARIANT: a write that is lost before its tool was called is not made.
        if self.decided.is_set() and not self.kept:
            raise ConflictError(f"the early {self.tool.name} is not wanted any more", cause="too_late")
        self.preparing = True
        try:
            yield
        finally:
            self.preparing = False

    def enter(self) -> None:
        """The tool is being called."""
        self.entered = True

    def keep_copy(self, copied: bool) -> None:
        """The tool has returned; whether its result could be copied."""
        self.copied = copied

    @property
    def call(self) -> Call:
        return self.candidate.call

    @property
    def writes(self) -> bool:
        return self.verdict.effect.writes

    @property
    def running(self) -> bool:
        return self.work is not None and not self.work.done()

    @property
    def came_to_nothing(self) -> bool:
        """Whether it is over without a result that others could have a copy of."""
        work = self.work
        if work is None or not work.done():
            return False
        return work.cancelled() or work.exception() is not None or not self.copied

    def leave(self, home: Branch) -> bool:
        """One of the hypotheses that hoped for it has ended; whether there is no other one."""
        if home in self.homes:
            self.homes.remove(home)
        return not self.homes

    def awaited_beyond(self, began: float) -> bool:
        """Whether it is a guess about a later model turn than the one that began at `began`.

        Under a hypothesis that is still open, its turn is yet to come; under a confirmed one, it is the
        first turn that begins after that.
        """
        above = [home.parent for home in self.homes if home.parent is not None]
        return any(branch.leads_beyond(began) for branch in above)

    def message_came(self, began: float, *, wants: bool) -> None:
        """The message of the turn that began then is there, and asks for the call or does not."""
        for home in self.homes:
            if wants:
                home.overdue = False
            elif home.parent is None or not home.parent.due_after(began):
                home.overdue = True


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
        # INVARIANT: a speculation leaves LIVE once; adoption and retirement cannot both have it. Nor can the
        # table of a run that is over have what has been carried into another one.
        if speculation.standing is not Standing.LIVE or speculation not in self._live.get(
            speculation.key, ()
        ):
            return False
        speculation.standing = standing
        for timer in (speculation.giving_up, speculation.watched):
            if timer is not None:
                # It would hold on to the whole session for as long as it had been ready to wait.
                timer.cancel()
        self.release(speculation)
        return True

    def release(self, speculation: Speculation) -> None:
        """Take it out of the table and let it live: another table will have it."""
        entries = self._live[speculation.key]
        entries.remove(speculation)
        if not entries:
            del self._live[speculation.key]

    def __iter__(self) -> Iterator[Speculation]:
        return iter([item for entries in self._live.values() for item in entries])

    def __len__(self) -> int:
        return sum(map(len, self._live.values()))
