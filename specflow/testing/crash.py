"""Crash a scenario with SIGKILL at named points, recover it, check it; through a fork server, so it is quick.

A scenario is three functions given by name, `"package.module:function"`, sync or async, each called as
`function(world, **args)` in a process of its own, where `world` is an empty directory made for the trial:

* `run` does the work, reaching the points of `specflow.probe`;
* `recover` does what the next process would do at its start; it must bear being killed anywhere itself;
* `check` raises when what is left is not right.

A fourth, `prepare(**args)`, may do once, before anything is forked, what every trial would otherwise do again
(compile, warm caches, make a template); it must leave no threads and no connections behind.

Needs `os.fork` (Linux, macOS). State outside `world` (a database server) is the scenario's own to separate:
name a schema after `world.name`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from specflow.errors import ConfigurationError, SpecflowError

AVAILABLE = hasattr(os, "fork")
WHY_NOT = "crash tests need os.fork and SIGKILL, which this system does not have"
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from specflow.testing.crash_fork import serve; serve()"
)


class CrashServerError(SpecflowError):
    """The fork server could not be started, or died; the message carries what it said last."""

    code = "crash_server"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashScenario:
    """What to run, to recover and to check, by name; `args` is plain JSON; `paths` go first in sys.path.

    `contained` says that all state is in `world` and holds no path of it: then a run that was killed at some
    point is made once, and every recovery after it begins with a copy of what it left.
    """

    run: str
    recover: str
    check: str
    args: Mapping[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    prepare: str = ""
    contained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashPoint:
    """The `nth` reach (from 1) of the point `name` in one process. Written `name#nth`."""

    name: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.name}#{self.nth}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One process of a trial: what it was to do, where it was to die, which points it reached, in order."""

    role: str
    crash: CrashPoint | None
    killed: bool
    points: tuple[CrashPoint, ...]
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One path: the run killed at the first point (None: not killed), each recovery at the next."""

    crashes: tuple[CrashPoint | None, ...]
    stages: tuple[Stage, ...]

    @property
    def error(self) -> str:
        """Why the trial failed: `role: traceback`; empty when it did not."""
        last = self.stages[-1]
        return f"{last.role}: {last.error.strip()}" if last.error else ""

    @property
    def missed(self) -> tuple[CrashPoint, ...]:
        """Points at which a process was to die and which it never reached."""
        return tuple(stage.crash for stage in self.stages if stage.crash is not None and not stage.killed)

    @property
    def recovery(self) -> tuple[CrashPoint, ...]:
        """The points of the recovery that was let through: where one more crash could be."""
        found = [stage.points for stage in self.stages if stage.role == "recover" and stage.crash is None]
        return found[-1] if found else ()


class CrashServer:
    """`with CrashServer(scenario) as server: server.trial("intent.committed#2", "undo.called")`.

    `timeout` is seconds for one process. Worlds lie in `directory` (a RAM disk where there is one: SIGKILL
    loses nothing that was written, so that is as good) and are removed, those of failed trials at the end.
    For one thread at a time; safe to use in a process that has threads.

    Raises:
        ConfigurationError: on a system without fork.
        CrashServerError: when the scenario cannot be imported, or its import starts threads.
    """

    def __init__(
        self, scenario: CrashScenario, *, timeout: float = 30.0, directory: str | None = None
    ) -> None:
        if not AVAILABLE:
            raise ConfigurationError(WHY_NOT, hint="skip them here")
        self.scenario = scenario
        self._worlds = Path(tempfile.mkdtemp(prefix="specflow-crash-", dir=directory or _ram_disk()))
        self._count = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        order = {
            "run": scenario.run,
            "recover": scenario.recover,
            "check": scenario.check,
            "prepare": scenario.prepare,
            "contained": scenario.contained,
            "args": dict(scenario.args),
            "timeout": timeout,
        }
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own code
            [sys.executable, "-c", _START, json.dumps([*scenario.paths, *sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        try:
            self._ask(order)
        except BaseException:
            self.close()
            raise

    def trial(self, *crashes: CrashPoint | str | None, args: Mapping[str, Any] | None = None) -> Trial:
        """Run one path; points may be written `name` or `name#nth`. A failure is in the result, not raised.

        `args` come on top of those of the scenario, for this trial.

        Raises:
            CrashServerError: when the server itself died.
        """
        path = tuple(parse_point(crash) if isinstance(crash, str) else crash for crash in crashes)
        self._count += 1
        # Unique beyond this server, so that a scenario can name a schema after it.
        world = self._worlds / f"{self._worlds.name.rpartition('-')[2]}_{self._count}"
        wire = [None if crash is None else [crash.name, crash.nth] for crash in path]
        answer = self._ask({"crashes": wire, "world": str(world), "args": dict(args or {})})
        trial = Trial(crashes=path, stages=tuple(_stage(found) for found in answer["stages"]))
        if not trial.error:
            shutil.rmtree(world, ignore_errors=True)
            world.with_suffix(".out").unlink(missing_ok=True)
        return trial

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            line = b""
        else:
            line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip()[-2000:]
            raise CrashServerError(f"the fork server died: {said or 'without a word'}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise CrashServerError(
                f"the fork server cannot use the scenario: {answer['error']}",
                hint="names are 'package.module:function', found through sys.path and paths=",
            )
        return answer

    def close(self) -> None:
        """End the server and remove every world."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except OSError:
            # It died with something of ours unread.
            self._process.kill()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()
        shutil.rmtree(self._worlds, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parse_point(text: str) -> CrashPoint:
    """Read `name` or `name#nth`.

    Raises:
        ConfigurationError: when there is no name, or `nth` is not a number from 1.
    """
    name, mark, nth = text.partition("#")
    if not name or (mark and not (nth.isdecimal() and int(nth) > 0)):
        raise ConfigurationError(
            f"{text!r} is no crash point", hint="write it as name or name#nth, nth from 1"
        )
    return CrashPoint(name=name, nth=int(nth) if mark else 1)


def _stage(found: Mapping[str, Any]) -> Stage:
    counts: dict[str, int] = {}
    points = []
    for name in found["points"]:
        counts[name] = counts.get(name, 0) + 1
        points.append(CrashPoint(name=name, nth=counts[name]))
    crash = found["crash"]
    return Stage(
        role=found["role"],
        crash=None if crash is None else CrashPoint(name=crash[0], nth=crash[1]),
        killed=found["killed"],
        points=tuple(points),
        error=found["error"],
    )


def _ram_disk() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - mkdtemp makes a private directory in it
