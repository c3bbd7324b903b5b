"""The fork that the running code is part of, if it is part of one."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from specflow.graph.compat import end_quietly
from specflow.graph.fork.origin import Origin
from specflow.speculation.branch import Branch
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.model_calls import ModelCalls, Recording
from specflow.speculation.session import Session

T = TypeVar("T")


@dataclass(slots=True, kw_only=True, eq=False)
class Fork:
    """One run of a graph on a guess. Its tables live on `loop`; parts of it may run on other threads."""

    branch: Branch
    session: Session
    coordinator: Coordinator
    loop: asyncio.AbstractEventLoop
    calls: ModelCalls
    origin: Origin | None = None
    ended_by: str = ""

    def halt(self, why: str) -> NoReturn:
        """End this part of the fork; what runs beside it goes on to its own end.

        Raises:
            GraphInterrupt: always; LangGraph ends the node with it, and nobody is asked anything.
        """
        self.ended_by = self.ended_by or why
        end_quietly()

    def begin(self, key: str, holds: object) -> Recording:
        """On the loop: register a model call under the branch, or end where the real run is ahead."""
        if self.branch.lost:
            self.halt("its branch has ended")
        recording = self.calls.begin(key, self.branch, holds)
        if recording is None:
            self.halt("overtaken by the real run")
        return recording

    def wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """From another thread: run a coroutine on the loop and wait for it.

        On the loop's own thread waiting would never end: there the fork ends instead.
        """
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self.loop or self.loop.is_closed():
            self.halt("a synchronous call on the event loop")
        return asyncio.run_coroutine_threadsafe(make(), self.loop).result()

    def post(self, body: Callable[..., object], *args: object) -> None:
        """From another thread: run a function on the loop soon. Nothing happens when the loop is gone."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(body, *args)


_FORK: contextvars.ContextVar[Fork | None] = contextvars.ContextVar("specflow_fork", default=None)


def current_fork() -> Fork | None:
    """The fork that is running here; None in a real run."""
    return _FORK.get()


def enter(fork: Fork) -> None:
    """From here on, in this context and what is started from it, everything is part of the fork."""
    _FORK.set(fork)
