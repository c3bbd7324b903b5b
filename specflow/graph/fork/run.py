"""Runs the user's graph ahead on a guess: the graph layer's `Forker`."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from specflow.effects.call import Call
from specflow.graph.compat import shielded_context, untraced
from specflow.graph.fork.current import Fork, enter
from specflow.graph.fork.origin import Origin
from specflow.graph.fork.overlay import OverlayStore
from specflow.prediction.result_guess import ResultGuess
from specflow.speculation.branch import Branch
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.session import Session

T = TypeVar("T")

STEPS = 25
"""Steps of the graph that one fork takes at most; LangGraph's own limit is the user's run's."""


class GraphForker:
    """Forks of asynchronous runs live on the user's loop, for that is what clients are bound to.

    Those of synchronous runs have a thread each, and meet the real run in the tables of the background loop.
    """

    def __init__(self, coordinator: Callable[[], Coordinator], *, most: int = 6) -> None:
        """`coordinator` gives that of the running loop; `most` forks run at the same time, on any loop.

        `finished` counts those that have ended, whatever came of them.
        """
        self._coordinator = coordinator
        self._most = most
        self._lock = threading.Lock()
        self._running = 0
        self._pid = os.getpid()
        self.finished = 0

    async def run(self, branch: Branch, call: Call, guess: ResultGuess, origin: object) -> None:
        """Until the graph ends, comes to what a fork may not do, or the branch ends."""
        if not isinstance(origin, Origin) or origin.session is None or not self._enter():
            return
        with ExitStack() as place:
            place.callback(self._leave)
            await self._run(branch, guess, origin, origin.session, place)

    async def _run(
        self, branch: Branch, guess: ResultGuess, origin: Origin, session: Session, place: ExitStack
    ) -> None:
        fork = Fork(
            branch=branch,
            session=session,
            coordinator=self._coordinator(),
            loop=asyncio.get_running_loop(),
            calls=session.model_calls,
            origin=origin,
        )
        begin = Beginning(fork=fork, origin=origin, input=origin.started_with(guess.value))
        context = shielded_context(origin.around)
        context.run(enter, fork)
        if origin.threaded:
            await _in_place(lambda: context.run(_invoke, begin), place.pop_all())
        else:
            await asyncio.get_running_loop().create_task(_ainvoke(begin), context=context)

    def _enter(self) -> bool:
        with self._lock:
            if self._pid != os.getpid():
                # The forks of the process that this one was forked from do not run here.
                self._pid, self._running = os.getpid(), 0
            if self._running >= self._most:
                return False
            self._running += 1
        return True

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1
            self.finished += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How one fork begins."""

    fork: Fork
    origin: Origin
    input: Any

    def graph(self) -> Any:
        """The graph it runs, with a store of its own where the user's has one."""
        entry = self.origin.graph()
        if self.origin.store is None:
            return entry
        return entry.copy(update={"store": OverlayStore(self.origin.store, self.fork)})

    def options(self) -> dict[str, Any]:
        """What it is run with."""
        return {"context": self.origin.context, "interrupt_before": list(self.origin.attached.stops)}


async def _ainvoke(begin: Beginning) -> None:
    with untraced():
        await begin.graph().ainvoke(begin.input, _config(begin.origin), **begin.options())


def _invoke(begin: Beginning) -> None:
    with untraced():
        begin.graph().invoke(begin.input, _config(begin.origin), **begin.options())


async def _in_place(body: Callable[[], None], place: ExitStack) -> None:
    """On a thread, which has the place until it has ended: it cannot be cancelled, only be left."""

    def work() -> None:
        with place:
            body()

    try:
        await on_thread(work, name="specflow-fork")
    except Exception:
        place.close()  # of no effect when the thread is over: it may never have begun
        raise


def _config(origin: Origin) -> Any:
    return {**origin.config, "callbacks": [], "recursion_limit": STEPS}


async def on_thread(body: Callable[[], T], *, name: str) -> T:
    """Run `body` on a thread of its own, which does not keep the interpreter from ending.

    A shared pool could be full of threads that wait for work that waits for the pool.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(set_it: Callable[[Any], object], what: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if done.done() else set_it(what))

    def work() -> None:
        try:
            value = body()
        except BaseException as error:  # noqa: BLE001 - handed over to whoever waits
            if isinstance(error, StopIteration | SystemExit | KeyboardInterrupt):
                error = RuntimeError(f"ended with {error!r}")
            tell(done.set_exception, error)
        else:
            tell(done.set_result, value)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name=name, daemon=True).start()
    return await done
