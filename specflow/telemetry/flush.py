"""Flushing that cannot hang the run: coalesced, on a thread of its own, waited for only so long.

The SDK's `force_flush` ignores its time-out and blocks for as long as the collector does, holding a
lock; so it never runs on the caller's thread, least of all inside a signal handler.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger("specflow")
Task = Callable[[], object]


class Flusher:
    """One daemon thread that flushes: soon after `request`, or while the caller waits.

    The thread starts with the object, because Python lets nobody start one while it exits, and again
    after a fork. Safe to use from a signal handler: every wait has an end.
    """

    def __init__(self, flush: Task) -> None:
        self._flush = flush
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        # A Condition's own lock is re-entrant: a signal handler may come in between.
        self._changed = threading.Condition()
        self._tasks: deque[tuple[Task, threading.Event]] = deque()
        self._ended = False
        self._thread = threading.Thread(target=self._serve, name="specflow-flush", daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Have a flush made soon. Returns at once; requests made meanwhile share one flush."""
        self._alive()
        with self._changed:
            if not any(task == self._flush for task, _ in self._tasks):
                self._tasks.append((self._flush, threading.Event()))
                self._changed.notify()

    def run(self, task: Task, timeout: float) -> bool:
        """Run `task` after what is already asked for; whether it ended within `timeout` seconds."""
        self._alive()
        done = threading.Event()
        with self._changed:
            self._tasks.append((task, done))
            self._changed.notify()
        return done.wait(timeout)

    def end(self) -> None:
        """Let the thread end when nothing is left to do."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _alive(self) -> None:
        if self._pid != os.getpid():
            # The parent's thread does not exist here, and its lock may have been copied while held.
            self._reset()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks or self._ended)
                if not self._tasks:
                    return
                task, done = self._tasks.popleft()
            try:
                task()
            except Exception:
                log.exception("telemetry could not be flushed")
            done.set()
