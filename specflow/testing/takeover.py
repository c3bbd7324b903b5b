"""A doomed process and a supervisor, both real, with only the database between them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from specflow.testing.doomed_agent import BOOKINGS

LONG = 60.0
"""Seconds to wait for something that must come; never how long it should take."""


class Program:
    """A child process that speaks in lines of JSON; ended and reaped with the `with` block."""

    def __init__(self, *arguments: str, bookings: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this Python, with arguments of the test
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, BOOKINGS: str(bookings)},
        )
        self._lines: queue.SimpleQueue[tuple[float, dict[str, Any]] | None] = queue.SimpleQueue()
        self._errors: list[str] = []
        self._noting = threading.Thread(target=self._note, daemon=True)
        self._readers = [threading.Thread(target=self._read, daemon=True), self._noting]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def errors(self) -> str:
        """What it wrote to its standard error so far."""
        return "".join(self._errors)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put((time.monotonic(), json.loads(line)))
        self._lines.put(None)

    def _note(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)

    def hear(self, key: str) -> tuple[float, dict[str, Any]]:
        """The next line that has `key`, and when it came (seconds, monotonic).

        Raises:
            AssertionError: it ended without, or nothing comes.
        """
        deadline = time.monotonic() + LONG
        while True:
            try:
                found = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"nothing with {key!r} came; on its standard error: {self.errors}"
                ) from None
            if found is None:
                self._lines.put(None)  # for whoever asks next
                # Why it ended comes through another pipe, perhaps a little later.
                self._noting.join(LONG)
                raise AssertionError(f"it ended without {key!r}; on its standard error: {self.errors}")
            if key in found[1]:
                return found

    def rest(self) -> list[dict[str, Any]]:
        """Wait until it has ended; the lines nobody has heard."""
        self._process.wait(LONG)
        for reader in self._readers:
            reader.join(LONG)
        lines = iter(self._lines.get, None)
        return [line for _at, line in lines]

    def send(self, number: int) -> float:
        """Send a signal; returns when (seconds, monotonic)."""
        now = time.monotonic()
        os.kill(self.pid, number)
        return now

    def kill(self) -> float:
        """End it without a chance to do anything; returns when."""
        return self.send(signal.SIGKILL)

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(LONG)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def agent(
    url: str,
    bookings: Path,
    *,
    name: str = "a",
    sessions: int = 4,
    effects: int = 8,
    lease: float = 30.0,
    go_on: bool = False,
    on_signal: bool = False,
) -> Iterator[Program]:
    """A `doomed_agent` that is ready: its bookings are done, and promised to it."""
    options = ["--name", name, "--sessions", str(sessions), "--effects", str(effects), "--lease", str(lease)]
    options += ["--go-on"] * go_on + ["--on-signal"] * on_signal
    with Program("-m", "specflow.testing.doomed_agent", url, *options, bookings=bookings) as program:
        program.hear("ready")
        yield program


@contextlib.contextmanager
def supervisor(url: str, bookings: Path, *options: str) -> Iterator[Program]:
    """`specflow journal recover --watch` on that journal, watching."""
    command = ["-c", "import specflow.cli; specflow.cli.main()", "journal", "recover", "--watch", "--json"]
    command += ["--db", url, "--tools", "specflow.testing.doomed_agent:TOOLS", *options]
    with Program(*command, bookings=bookings) as program:
        deadline = time.monotonic() + LONG
        while "watching" not in program.errors:
            if program.code is not None or time.monotonic() > deadline:
                raise AssertionError(f"the supervisor does not watch: {program.errors}")
            time.sleep(0.005)
        yield program


def recovered(watching: Program, count: int) -> tuple[float, Sequence[dict[str, Any]]]:
    """Wait for so many recovered sessions; when the last was (seconds, monotonic), and the lines."""
    said: list[dict[str, Any]] = []
    at = 0.0
    while len(said) < count:
        at, line = watching.hear("compensated")
        said.append(line)
    return at, said
