"""A plan of faults: what goes wrong, at which point of the code, at which reach of it.

The points are those of `specflow.probe` and, for every wrapped callable, `name.before` (nothing has happened)
and `name.after` (it has happened and nobody knows). A fault that never fired proves nothing, so leaving the
plan with one is an error.
"""

from __future__ import annotations

import asyncio
import collections
import difflib
import functools
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

from specflow import probe
from specflow.errors import ConfigurationError, SpecflowError
from specflow.testing.seeded_loop import SeededLoop

P = ParamSpec("P")
T = TypeVar("T")
Kind = Literal["error", "delay", "hang", "cancel", "kill"]


class FaultNeverFiredError(SpecflowError, AssertionError):
    """A planned fault did not happen, so the test did not test it."""

    code = "fault_never_fired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One planned fault. `nth` counts the reaches of `point` from 1; 0 means every one of them."""

    point: str
    kind: Kind
    nth: int = 1
    error: BaseException | type[BaseException] | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.nth < 0:
            raise ConfigurationError(f"nth counts from 1 (0: every reach), not {self.nth}")
        if self.seconds < 0:
            raise ConfigurationError(f"a delay cannot be {self.seconds} seconds")
        if self.kind == "error" and self.error is None:
            raise ConfigurationError(f"the fault at {self.point!r} names no error to raise")


def error(point: str, error: BaseException | type[BaseException], *, nth: int = 1) -> Fault:
    """Raise `error` there."""
    return Fault(point=point, kind="error", nth=nth, error=error)


def delay(point: str, seconds: float, *, nth: int = 1) -> Fault:
    """Let `seconds` pass there: virtual ones under a SeededLoop. At a probe point the whole loop waits."""
    return Fault(point=point, kind="delay", nth=nth, seconds=seconds)


def hang(point: str, *, nth: int = 1) -> Fault:
    """Never go on from there, until cancelled; only in a wrapped callable, for a probe point cannot wait."""
    return Fault(point=point, kind="hang", nth=nth)


def cancel(point: str, *, nth: int = 1) -> Fault:
    """Cancel the task that is there. At a probe point it notices at its next await."""
    return Fault(point=point, kind="cancel", nth=nth)


def kill(point: str, *, nth: int = 1) -> Fault:
    """SIGKILL this process there: for children of a crash test."""
    return Fault(point=point, kind="kill", nth=nth)


class Faults:
    """`with Faults(error("intent.before", OSError("disk full")), ...) as faults:` installs the plan as the
    probe's hook, calling the hook that was there first, and puts that one back at the end.

    `reached` counts the reaches of each point, `fired` lists the faults that happened, in order. With
    `strict=False` a fault may also not happen. Safe to reach from several threads.
    """

    def __init__(self, *plan: Fault, strict: bool = True) -> None:
        self.plan = plan
        self.strict = strict
        self.reached: collections.Counter[str] = collections.Counter()
        self.fired: list[Fault] = []
        self._lock = threading.Lock()
        self._previous: probe.Hook | None = None
        self._installed = False

    def __enter__(self) -> Self:
        if self._installed:
            raise ConfigurationError("this plan is installed already", hint="make another Faults")
        self._installed = True
        self._previous = probe.install(self._hook)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        probe.install(self._previous)
        self._installed = False
        idle = [fault for fault in self.plan if fault not in self.fired]
        if self.strict and raised is None and idle:
            raise FaultNeverFiredError(
                "; ".join(self._why_idle(fault) for fault in idle),
                hint="mend the plan, or say strict=False",
                faults=tuple(idle),
            )

    def wrap(self, run: Callable[P, Awaitable[T]], *, name: str = "") -> Callable[P, Coroutine[Any, Any, T]]:
        """`run` (a tool's Runner, or any async callable) with the points `name.before` and `name.after`.

        `name` is the callable's own `__name__` unless given. The plan need not be installed for this.
        """
        called = name or getattr(run, "__name__", type(run).__name__)

        @functools.wraps(run)
        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            await self._strike(f"{called}.before")
            result = await run(*args, **kwargs)
            await self._strike(f"{called}.after")
            return result

        return wrapped

    def _hook(self, name: str) -> None:
        if self._previous is not None:
            self._previous(name)
        for fault in self._due(name):
            if fault.kind == "hang":
                raise ConfigurationError(
                    f"cannot hang at the probe point {name!r}: it is not async",
                    hint="wrap the runner and hang there, or use delay",
                )
            if fault.kind == "delay":
                _pass_time(fault.seconds)
            else:
                _strike_now(fault)

    async def _strike(self, name: str) -> None:
        for fault in self._due(name):
            if fault.kind == "hang":
                await _never()
            elif fault.kind == "delay":
                await asyncio.sleep(fault.seconds)
            else:
                _strike_now(fault)
                # A cancellation arrives here, not somewhere in the caller.
                await asyncio.sleep(0)

    def _due(self, name: str) -> list[Fault]:
        with self._lock:
            self.reached[name] += 1
            now = self.reached[name]
            due = [fault for fault in self.plan if fault.point == name and fault.nth in (0, now)]
            self.fired.extend(due)
        return due

    def _why_idle(self, fault: Fault) -> str:
        times = self.reached[fault.point]
        if times:
            return f"{fault.kind} at {fault.point!r}: reach {fault.nth} never came, only {times} did"
        known = {*self.reached, *probe.POINTS}
        near = difflib.get_close_matches(fault.point, known, n=1)
        guess = f" (did you mean {near[0]!r}?)" if near and near[0] != fault.point else ""
        return f"{fault.kind} at {fault.point!r} never fired: it was never reached{guess}"


def _strike_now(fault: Fault) -> None:
    if fault.kind == "kill":
        kill_self()
    elif fault.kind == "cancel":
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is None:
            raise ConfigurationError(f"no task to cancel at {fault.point!r}: it was reached outside a task")
        task.cancel(f"fault at {fault.point}")
    elif fault.error is not None:
        raise fault.error


def _pass_time(seconds: float) -> None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if isinstance(loop, SeededLoop):
        loop.advance(seconds)
    else:
        time.sleep(seconds)


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


def kill_self() -> None:
    """End this process at once, by SIGKILL: nothing is flushed, closed or told."""
    if not hasattr(signal, "SIGKILL"):
        raise ConfigurationError(
            "there is no SIGKILL on this system", hint="run crash tests on Linux or macOS"
        )
    os.kill(os.getpid(), signal.SIGKILL)
    # The signal may take a moment; nothing may happen in it.
    threading.Event().wait()
