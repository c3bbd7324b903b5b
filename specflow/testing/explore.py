"""Run a scenario under the seeded loop: once with a known seed, or under thousands of schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from specflow.errors import ConfigurationError, SpecflowError
from specflow.testing.seeded_loop import DeadlockError, LivelockError, SeededLoop, Watcher

T = TypeVar("T")
Leaks = Literal["cancel", "error"]
MAX_STEPS = 1_000_000
WIND_UP_STEPS = 10_000


class LeakedTaskError(SpecflowError, AssertionError):
    """Tasks were still pending when the main task was done."""

    code = "leaked_task"


class LostErrorError(SpecflowError, AssertionError):
    """A callback or a task raised an error that nobody awaited."""

    code = "lost_error"


class ScheduleFailedError(SpecflowError, AssertionError):
    """A scenario failed under one schedule; the message says how to repeat exactly that one."""

    code = "schedule_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Generic[T]):
    """One run. Either `result` or `error` is what the main task ended with; `seconds` are virtual."""

    seed: int
    steps: int
    seconds: float
    history: tuple[str, ...]
    history_hash: str
    result: T | None
    error: BaseException | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What `explore` saw: how many runs, how many different histories among them, which seeds failed.

    Few `distinct` histories among many schedules: the scenario has few interleavings, or too little in it
    is asynchronous.
    """

    schedules: int
    distinct: int
    failed_seeds: tuple[int, ...]


def run(
    main: Coroutine[Any, Any, T],
    *,
    seed: int = 0,
    step_seconds: float = 0.0,
    max_steps: int = MAX_STEPS,
    leaks: Leaks = "cancel",
) -> T:
    """Run `main` as `asyncio.run` does, on a `SeededLoop` with this seed.

    `step_seconds` is the most virtual time one step may take; above 0, time-outs strike between any two
    steps. `leaks` says what to do with tasks that are left when `main` is done: cancel them, as asyncio.run
    does, or cancel them and raise.

    Raises:
        DeadlockError: when nothing can ever go on.
        LivelockError: after `max_steps` steps.
        LeakedTaskError: see `leaks`; always for tasks that do not end when they are cancelled.
        LostErrorError: when a task or a callback failed and nobody heard of it.
        Exception: whatever `main` raises.
    """
    loop = SeededLoop(seed, step_seconds=step_seconds, max_steps=max_steps)
    return drive(loop, main, leaks=leaks)


def observe(
    main: Coroutine[Any, Any, T],
    *,
    seed: int = 0,
    step_seconds: float = 0.0,
    max_steps: int = MAX_STEPS,
    leaks: Leaks = "cancel",
) -> Schedule[T]:
    """As `run`, with the history; an error is returned in the `Schedule`, not raised."""
    loop = SeededLoop(seed, step_seconds=step_seconds, max_steps=max_steps)
    result: T | None = None
    error: BaseException | None = None
    try:
        result = drive(loop, main, leaks=leaks)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as raised:  # noqa: BLE001 - cancellation and pytest's own failures count too
        error = raised
    return Schedule(
        seed=seed,
        steps=loop.steps,
        seconds=loop.time(),
        history=loop.history(),
        history_hash=loop.history_hash(),
        result=result,
        error=error,
    )


def explore(
    main_factory: Callable[[], Coroutine[Any, Any, object]],
    *,
    schedules: int = 2000,
    seed: int = 0,
    step_seconds: float = 0.0,
    max_steps: int = MAX_STEPS,
    leaks: Leaks = "cancel",
    on_failure: Callable[[Schedule[object]], None] | None = None,
) -> Exploration:
    """Run `main_factory()` under the seeds `seed`, `seed + 1`, ...; each call must build its own world.

    Without `on_failure` the first failing schedule is raised; with it every failing schedule is handed over
    and the exploration goes on.

    Raises:
        ScheduleFailedError: from the scenario's own error, with the seed, how to repeat it, and whether the
            same seed failed in the same way when it was tried again.
    """
    if schedules < 1:
        raise ConfigurationError(f"schedules must be at least 1, not {schedules}")
    distinct: set[int] = set()
    failed: list[int] = []
    for current in range(seed, seed + schedules):
        loop = SeededLoop(current, step_seconds=step_seconds, max_steps=max_steps)
        try:
            drive(loop, main_factory(), leaks=leaks)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            failed.append(current)
            again = observe(
                main_factory(), seed=current, step_seconds=step_seconds, max_steps=max_steps, leaks=leaks
            )
            if on_failure is None:
                raise _failure(loop, error, again, step_seconds) from error
            on_failure(again)
        distinct.add(hash(loop.trace()))
    return Exploration(schedules=schedules, distinct=len(distinct), failed_seeds=tuple(failed))


def drive(
    loop: SeededLoop, main: Coroutine[Any, Any, T], *, leaks: Leaks = "cancel", watcher: Watcher | None = None
) -> T:
    """Run `main` on this fresh loop, wind up what it left, close the loop. Raises as `run` does."""
    loop.watcher = watcher
    try:
        try:
            result = loop.run_until_complete(main)
        finally:
            loop.watcher = None
            left, heeded = _wind_up(loop)
        lost = loop.lost_errors()
    finally:
        loop.close()
    if lost:
        message, cause = lost[0]
        raise LostErrorError(
            f"{message}{f': {cause!r}' if cause else ''}", hint="await the task, or handle its error"
        ) from cause
    if not heeded or (left and leaks == "error"):
        raise LeakedTaskError(
            f"still pending when the main task was done: {', '.join(left)}",
            hint="await or cancel them before the scenario ends"
            if heeded
            else "they do not heed a cancellation: asyncio.run would hang here",
            tasks=left,
        )
    return result


def _wind_up(loop: SeededLoop) -> tuple[tuple[str, ...], bool]:
    """Cancel what is left, as asyncio.run does; the names of the tasks that were, and whether they ended."""
    loop.max_steps += WIND_UP_STEPS
    loop.recording = False
    left = asyncio.all_tasks(loop)
    names = tuple(sorted(task.get_name() for task in left))
    for task in left:
        task.cancel()
    try:
        if left:
            loop.run_until_complete(_all_done(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
    except (DeadlockError, LivelockError):
        # Not raised from here: the run's own error, if there is one, says more.
        return names or ("a generator that cannot be closed",), False
    return names, True


async def _all_done(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _failure(
    loop: SeededLoop, error: BaseException, again: Schedule[Any], step_seconds: float
) -> ScheduleFailedError:
    options = f"seed={loop.seed}" + (f", step_seconds={step_seconds}" if step_seconds else "")
    if again.error is None or again.history != loop.history():
        hint = (
            "tried again, the same seed went another way: the scenario depends on something outside it "
            "(state kept between runs, real time, randomness, the hash of a string)"
        )
    else:
        hint = f"repeat it with run(main(), {options})"
    last = "\n  ".join(loop.history()[-12:])
    return ScheduleFailedError(
        f"seed {loop.seed}: {type(error).__name__}: {error}; {hint}\nthe last steps:\n  {last}",
        seed=loop.seed,
        repeatable=again.error is not None and again.history == loop.history(),
    )
