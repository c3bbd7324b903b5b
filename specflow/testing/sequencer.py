"""Numbered turns: force one exact interleaving of several tasks, or of several threads.

seq = Sequencer()
async with seq(0): ...      # in one task
async with seq(1): ...      # in another; enters when the block of turn 0 is left
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from specflow.errors import ConfigurationError, SpecflowError


class SequenceError(SpecflowError, AssertionError):
    """A turn that cannot come: used twice, broken off before, or waited for in vain."""

    code = "sequence"


class _Turns:
    """Who has asked for a turn, whose turn it is, and what broke the sequence, if anything did."""

    def __init__(self, timeout: float) -> None:
        if not timeout > 0:
            raise ConfigurationError(f"timeout must be above 0 seconds, not {timeout}")
        self.timeout = timeout
        self.asked: set[int] = set()
        self.next = 0
        self.broken = ""

    def ask(self, turn: int) -> None:
        if turn < 0:
            raise ConfigurationError(f"turns are numbered 0, 1, 2, ...; {turn} is none of them")
        if turn in self.asked:
            raise SequenceError(f"turn {turn} was asked for twice", hint="give every block its own number")
        self.asked.add(turn)

    def check(self) -> None:
        if self.broken:
            raise SequenceError(f"the sequence is broken: {self.broken}")

    def leave(self, turn: int) -> None:
        self.next = turn + 1

    def break_off(self, reason: str) -> None:
        # The first reason is the cause; what follows from it would hide it.
        self.broken = self.broken or reason

    def too_late(self, turn: int) -> SequenceError:
        if self.next in self.asked:
            state = f"turn {self.next} is still going on"
            hint = "a block may not wait for a later turn inside itself"
        else:
            state = f"nobody has asked for turn {self.next}"
            hint = "is a number missing, or the code of that turn never reached?"
        self.break_off(f"turn {turn} waited {self.timeout} s in vain, {state}")
        return SequenceError(self.broken, hint=hint)

    def assert_finished(self, turns: int) -> None:
        """Raise SequenceError unless the turns 0 to `turns` - 1 have all been taken and left."""
        self.check()
        if self.next != turns:
            raise SequenceError(f"{self.next} turns were taken, not {turns}")


class Sequencer(_Turns):
    """Turns for the tasks of one loop. `timeout` is seconds of the loop's own time, virtual or real.

    A block that raises, or a wait that is cancelled, breaks the sequence: every other turn then raises
    SequenceError with that cause, instead of hanging.
    """

    def __init__(self, *, timeout: float = 10.0) -> None:
        super().__init__(timeout)
        self._moved: asyncio.Event | None = None

    @asynccontextmanager
    async def __call__(self, turn: int) -> AsyncIterator[None]:
        """The block of this turn: entered when all lower turns have been left.

        Raises:
            SequenceError: the number was used before, the sequence is broken, or the wait was in vain.
        """
        self.ask(turn)
        self._moved = self._moved or asyncio.Event()
        try:
            await self._await(turn)
            yield
        except BaseException as error:
            self.break_off(f"turn {turn} ended with {type(error).__name__}: {error}")
            self._wake()
            raise
        self.leave(turn)
        self._wake()

    async def _await(self, turn: int) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                while True:
                    self.check()
                    if self.next == turn:
                        return
                    assert self._moved is not None
                    await self._moved.wait()
        except TimeoutError:
            raise self.too_late(turn) from None

    def _wake(self) -> None:
        if self._moved is not None:
            self._moved.set()
        self._moved = asyncio.Event()


class ThreadSequencer(_Turns):
    """Turns for threads: `with seq(0): ...`. `timeout` is real seconds; see `Sequencer` for the rest."""

    def __init__(self, *, timeout: float = 10.0) -> None:
        super().__init__(timeout)
        self._moved = threading.Condition()

    @contextmanager
    def __call__(self, turn: int) -> Iterator[None]:
        """As `Sequencer.__call__`, blocking the thread."""
        with self._moved:
            self.ask(turn)
        try:
            self._await(turn)
            yield
        except BaseException as error:
            with self._moved:
                self.break_off(f"turn {turn} ended with {type(error).__name__}: {error}")
                self._moved.notify_all()
            raise
        with self._moved:
            self.leave(turn)
            self._moved.notify_all()

    def _await(self, turn: int) -> None:
        with self._moved:
            if not self._moved.wait_for(lambda: self.broken or self.next == turn, self.timeout):
                raise self.too_late(turn)
            self.check()
