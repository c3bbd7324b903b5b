"""The table of model calls made early: what a model said to an input, for the real run to take over.

A model call is told by its fingerprint alone: the same model, settings, bound arguments and messages. What
it said is recorded piece by piece, and can be read from the beginning while it still grows. A recording
belongs to the branch that made it until the real run adopts it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from typing import Any, Protocol

MOST = 64
"""Early model calls of one session that wait for their adoption at the same time."""

REMEMBERED = 256
"""Calls to which the real run has come, as far as that is remembered: a fork that comes later is behind."""

OUTRUN = 16
"""Model calls that the real run makes before an early one that it did not come to is given up."""


class Adoption(StrEnum):
    """How the real run's model calls were answered: `overtaken` is an early one that came too late.

    `cancelled` is an early one that was begun and that nobody wanted.
    """

    HIT = "hit"
    LATE = "late"
    MISS = "miss"
    OVERTAKEN = "overtaken"
    CANCELLED = "cancelled"


class Owner(Protocol):
    """The branch that an early call is made under; `lost` when nothing more is started under it."""

    @property
    def lost(self) -> bool: ...

    def own(self, item: object, end: Callable[[str], object]) -> None:
        """End the item with the branch; at once, if that has ended."""
        ...

    def disown(self, item: object) -> None:
        """It is not the branch's to end any more."""
        ...


class Recording:
    """One model call made early. `pieces` are whatever the framework streams; `holds` is kept alive with it.

    Lives on one event loop, like the session it belongs to.
    """

    def __init__(
        self, key: str, owner: Owner, holds: object = None, clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._clock = clock
        self.started = clock()
        self.finished: float | None = None
        self.key = key
        self.owner = owner
        self.holds = holds
        self.pieces: list[Any] = []
        self.over = False
        self.error: BaseException | None = None
        self.work: asyncio.Task[None] | None = None
        self.asked_before = 0
        self._changed = asyncio.Event()

    @property
    def hopeless(self) -> bool:
        """Whether it failed before anybody wanted it: nobody needs to know that it was ever begun."""
        return self.error is not None

    def add(self, piece: Any) -> None:
        """The model said something more."""
        if not self.over:
            self.pieces.append(piece)
            self._wake()

    def finish(self, error: BaseException | None = None) -> None:
        """The model has said all, or `error` ended it. The first ending counts."""
        if not self.over:
            self.over, self.error, self.finished = True, error, self._clock()
            self._wake()

    def cancel(self) -> None:
        """Nobody will read on: stop it. Where it runs on a thread, its maker looks at `over`."""
        self.finish(asyncio.CancelledError())
        if self.work is not None:
            self.work.cancel()

    async def after(self, count: int) -> Sequence[Any]:
        """The pieces beyond the first `count`, as soon as there are any; none at the end.

        Raises:
            BaseException: what ended it, once everything before has been given.
        """
        while len(self.pieces) <= count and not self.over:
            await self._changed.wait()
        more = self.pieces[count:]
        if not more and self.error is not None:
            raise self.error
        return more

    async def stream(self) -> AsyncIterator[Any]:
        """Everything from the beginning, and what is still to come."""
        given = 0
        while more := await self.after(given):
            given += len(more)
            for piece in more:
                yield piece

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


Told = Callable[[Adoption, Recording], None]
"""Hears how each early model call has ended for the real run."""


class ModelCalls:
    """The model calls of one session. Among equals the first registered is adopted.

    Taking the first *finished* would favour short answers.
    """

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        """`clock` tells the seconds of the runtime's monotonic clock."""
        self.told: Told = lambda _how, _recording: None
        self._clock = clock
        self.seen: Counter[Adoption] = Counter()
        self._live: dict[str, list[Recording]] = {}
        self._come: OrderedDict[str, None] = OrderedDict()
        self._asked = 0

    def begin(self, key: str, owner: Owner, holds: object = None) -> Recording | None:
        """Register an early call. None: nothing is to be gained, for the real run has come to it already, or
        enough is waiting to be adopted.
        """
        if key in self._come:
            self.seen[Adoption.OVERTAKEN] += 1
            return None
        if len(self) >= MOST:
            return None
        recording = Recording(key, owner, holds, self._clock)
        recording.asked_before = self._asked
        self._live.setdefault(key, []).append(recording)
        owner.own(recording, lambda _cause: self._end(recording))
        return recording

    def adopt(self, key: str) -> Recording | None:
        """The first live recording of that key, taken out of the table: it has one adopter, and no branch.

        None: the real run makes the call itself. From now on no early one of that key is begun.
        """
        self._asked += 1
        self._come[key] = None
        if len(self._come) > REMEMBERED:
            self._come.popitem(last=False)
        self._give_up()
        while entries := self._live.get(key):
            recording = entries[0]
            self._drop(recording)
            # INVARIANT: what is adopted is nobody else's to cancel; the end of its branch does not reach it.
            recording.owner.disown(recording)
            if recording.hopeless:
                self._ended(Adoption.CANCELLED, recording)
                continue
            self._ended(Adoption.HIT if recording.over else Adoption.LATE, recording)
            return recording
        self.seen[Adoption.MISS] += 1
        return None

    def __len__(self) -> int:
        return sum(map(len, self._live.values()))

    def _give_up(self) -> None:
        """The real run went another way: what it did not come to is let go of, and so is its branch."""
        late = self._asked - OUTRUN
        for recording in [item for entries in self._live.values() for item in entries]:
            if recording.asked_before < late:
                recording.owner.disown(recording)
                self._end(recording)

    def _end(self, recording: Recording) -> None:
        """Its branch has ended, and nobody adopted it."""
        self._drop(recording)
        recording.cancel()
        self._ended(Adoption.CANCELLED, recording)

    def _ended(self, how: Adoption, recording: Recording) -> None:
        self.seen[how] += 1
        self.told(how, recording)

    def _drop(self, recording: Recording) -> None:
        entries = self._live[recording.key]
        entries.remove(recording)
        if not entries:
            del self._live[recording.key]
