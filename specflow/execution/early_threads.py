"""Threads for the bodies of early synchronous tools: their own, so that they cannot starve the real run's.

A thread cannot be cancelled. A guess that is taken back keeps its thread for as long as its body likes; in
the loop's own pool a handful of these would leave no thread to the real run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from specflow.errors import ConflictError

P = ParamSpec("P")
T = TypeVar("T")

MOST = 32
"""Early synchronous reads of this process at one moment, those included that nobody waits for any more."""


class EarlyThreads(Executor):
    """A thread for each body; none waits for another's. `most` None: as many as there is work.

    `daemon`: the process does not wait for them when it ends.
    """

    def __init__(self, *, most: int | None, daemon: bool) -> None:
        self._most = most
        self._daemon = daemon
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @property
    def alive(self) -> int:
        """How many bodies are running."""
        self._threads = {one for one in self._threads if one.is_alive()}
        return len(self._threads)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin at once.

        Raises:
            ConflictError: as many run already as may. Waiting for one could take for ever; the real call
                has a thread of its own.
        """
        future: Future[T] = Future()

        def body() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                value = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - handed over to the awaiting side
                future.set_exception(error)
            else:
                future.set_result(value)

        thread = threading.Thread(target=body, name="specflow-early", daemon=self._daemon)
        if self._pid != os.getpid():
            # After a fork: whoever held the lock is not here. The parent's threads are not, either.
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            if self._most is not None and self.alive >= self._most:
                raise ConflictError(
                    f"{self._most} early calls of synchronous tools are still running, wanted or not",
                    hint="give slow tools a `timeout` of their own, or make them asynchronous",
                    cause="threads",
                )
            thread.start()
            self._threads.add(thread)
        return future


READS = EarlyThreads(most=MOST, daemon=True)
WRITES = EarlyThreads(most=None, daemon=False)
"""Early writes are few (the gate counts them), on record before they begin, and waited for."""


def early_threads(*, writes: bool) -> Executor:
    """Where the body of an early synchronous tool runs."""
    return WRITES if writes else READS
