"""One event loop on a thread of its own: how synchronous callers use the asynchronous core.

The caller's thread waits and serves: tool bodies of its real run are executed on it, so that thread
locals, context variables and connections bound to the thread are as they would be without specflow.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from specflow.errors import ConfigurationError
from specflow.execution.inside import being_inside, inside

T = TypeVar("T")
Job = Callable[[], object]


class _EscapedError(BaseException):
    """SystemExit or KeyboardInterrupt of a body, on its way over the loop, which it would end as itself."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(error))
        self.error = error


class Caller:
    """The waiting thread, as seen from the loop."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Job, Job] | None] = queue.SimpleQueue()
        self._left = False
        self._task: asyncio.Task[Any] | None = None

    async def serving(self, wanted: Coroutine[Any, Any, T]) -> T:
        """On the loop: what the thread waits for."""
        self._task = asyncio.current_task()
        if self._left:
            wanted.close()
            raise asyncio.CancelledError
        return await wanted

    async def run(self, body: Callable[[], T]) -> T:
        """Execute `body` on the waiting thread and return its value.

        Raises:
            CancelledError: nobody waits there any more.
            BaseException: whatever the body raises.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        effects = inside()

        def job() -> None:
            if answer.cancelled():
                return  # given up before it began
            try:
                with being_inside(effects):
                    value = body()
            except BaseException as error:  # noqa: BLE001 - handed over to the awaiting side
                loop.call_soon_threadsafe(_fail, answer, error)
            else:
                loop.call_soon_threadsafe(_succeed, answer, value)

        self._jobs.put((job, lambda: loop.call_soon_threadsafe(answer.cancel)))
        if self._left:
            self._turn_away()
        return await answer

    def serve(self, until: Future[Any]) -> None:
        """Run what the loop asks for until the future is done."""
        until.add_done_callback(lambda _done: self._jobs.put(None))
        while (asked := self._jobs.get()) is not None:
            asked[0]()

    def leave(self, *, interrupted: bool) -> None:
        """Nobody waits any more: what is still asked for, or will be, is given up at once.

        `interrupted`: so is what was waited for.
        """
        self._left = True
        if interrupted and self._task is not None:
            with suppress(RuntimeError):  # the loop has ended, and the task with it
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        self._turn_away()

    def _turn_away(self) -> None:
        # A closed loop has nobody who would have to be told.
        with suppress(queue.Empty, RuntimeError):
            while True:
                asked = self._jobs.get_nowait()
                if asked is not None:
                    asked[1]()


class Background:
    """Starts its loop on first use; after a fork the child gets one of its own."""

    def __init__(self, name: str = "specflow") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        _EVERY.add(self)

    def forked(self) -> None:
        """In the child: the loop's thread is the parent's, and whoever held the lock is not here."""
        self._lock = threading.Lock()
        self._loop = self._thread = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, started when it is not running yet."""
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                loop = asyncio.new_event_loop()
                started = threading.Event()
                thread = threading.Thread(
                    target=self._main, args=(loop, started), name=self._name, daemon=True
                )
                thread.start()
                started.wait()
                self._loop, self._thread, self._pid = loop, thread, os.getpid()
            return self._loop

    @property
    def peek(self) -> asyncio.AbstractEventLoop | None:
        """The loop if it is running, without starting it."""
        return self._loop if self._pid == os.getpid() else None

    @property
    def running(self) -> bool:
        """Whether the loop was ever needed in this process."""
        return self._loop is not None and self._pid == os.getpid()

    @staticmethod
    def _main(loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        loop.call_soon(started.set)
        try:
            loop.run_forever()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=2))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def run(self, make: Callable[[Caller], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop and wait for it, serving the bodies it wants run here.

        Raises:
            ConfigurationError: on the loop's own thread, where waiting would never end.
        """
        loop = self.loop
        if threading.current_thread() is self._thread:
            raise ConfigurationError(
                "a synchronous call from inside specflow's own loop would wait for itself",
                hint="use the asynchronous form in tools that run early",
            )
        caller = Caller()
        done = False
        try:
            # An interrupt may come as soon as this is on the loop, before its future is in our hands.
            future = asyncio.run_coroutine_threadsafe(caller.serving(make(caller)), loop)
            caller.serve(future)
            done = True
        finally:
            caller.leave(interrupted=not done)
        try:
            return future.result()
        except _EscapedError as escaped:
            raise escaped.error from None

    def call(self, body: Callable[[], T]) -> T:
        """Run a plain function on the loop and wait for its value."""

        async def on_loop() -> T:
            return body()

        return self.run(lambda _caller: on_loop())

    def post(self, body: Callable[[], object]) -> None:
        """Run a plain function on the loop soon, in order, without waiting."""
        self.loop.call_soon_threadsafe(body)

    def stop(self) -> None:
        """End the loop and its thread."""
        with self._lock:
            loop, thread = self._loop, self._thread
            alive = loop is not None and self._pid == os.getpid()
            self._loop = self._thread = None
        if alive and loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=5)


_EVERY: weakref.WeakSet[Background] = weakref.WeakSet()


def _forked() -> None:
    for background in tuple(_EVERY):
        background.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _succeed(answer: asyncio.Future[T], value: T) -> None:
    if not answer.done():
        answer.set_result(value)


def _fail(answer: asyncio.Future[T], error: BaseException) -> None:
    if answer.done():
        return
    if isinstance(error, SystemExit | KeyboardInterrupt):
        error = _EscapedError(error)
    if isinstance(error, StopIteration):
        error = RuntimeError(f"the tool raised {error!r}")  # a future cannot carry StopIteration
    answer.set_exception(error)
