"""Cancel a scenario at every one of its awaits, once per run, and check the invariant each time.

At each await there are two moments, and bugs hide in the second: *waiting*, when what is awaited is not
there yet, and *arrived*, when it is there but the task has not run since: the result is lost with the
cancellation, its effect is not.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from specflow.errors import ConfigurationError, SpecflowError
from specflow.testing.explore import MAX_STEPS, Leaks, drive
from specflow.testing.seeded_loop import SeededLoop
from specflow.testing.seeded_task import waiting_at

W = TypeVar("W")
Moment = Literal["waiting", "arrived"]


class CancelFailedError(SpecflowError, AssertionError):
    """A scenario did not bear being cancelled at one point; says where and how to repeat it."""

    code = "cancel_failed"


class SwallowedCancellationError(SpecflowError, AssertionError):
    """The scenario was cancelled and returned as if nothing had been."""

    code = "swallowed_cancellation"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPoint:
    """Just before (`arrived`) or just after (`waiting`) the `step`-th step (from 0) that is counted."""

    seed: int
    step: int
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelFailure:
    """One point that failed: `where` the cancelled task stood, and the error."""

    point: CancelPoint
    where: str
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReport:
    """How many runs there were, one cancellation in each, and which failed."""

    trials: int
    failures: tuple[CancelFailure, ...]


class _Canceller:
    """Counts steps and cancels at one of them; with no point it only counts."""

    def __init__(self, point: CancelPoint | None, *, every_task: bool) -> None:
        self.point = point
        self.every_task = every_task
        self.target: asyncio.Task[Any] | None = None
        self.driver: asyncio.Task[Any] | None = None
        self.steps = 0
        self.where = ""

    def _counts(self, task: asyncio.Task[Any]) -> bool:
        if self.every_task:
            return self.target is not None and task is not self.driver
        return task is self.target

    def _strike(self, task: asyncio.Task[Any], moment: Moment) -> None:
        point = self.point
        if point is not None and not self.where and point.step == self.steps and point.moment == moment:
            self.where = waiting_at(task)
            task.cancel()

    def before(self, task: asyncio.Task[Any]) -> None:
        if self._counts(task):
            self._strike(task, "arrived")

    def after(self, task: asyncio.Task[Any]) -> None:
        if self._counts(task):
            if not task.done():
                self._strike(task, "waiting")
            self.steps += 1


def cancel_everywhere(
    scenario: Callable[[W], Coroutine[Any, Any, object]],
    *,
    world: Callable[[], W],
    check: Callable[[W], Awaitable[None] | None],
    seeds: Sequence[int] = (0,),
    every_task: bool = False,
    allowed: tuple[type[BaseException], ...] = (),
    may_return: bool = False,
    leaks: Leaks = "error",
    step_seconds: float = 0.0,
    max_steps: int = MAX_STEPS,
    only: CancelPoint | None = None,
    on_failure: Callable[[CancelFailure], None] | None = None,
) -> CancelReport:
    """Run `scenario(world())` once per await and moment, cancelled there, then `check(world)`.

    `check` raises when the invariant is broken; it may be async (to wait for work that was shielded) and runs
    on the same loop, before what is left counts as leaked. First each seed runs without a cancellation.

    `every_task` cancels the scenario's child tasks too, each in turn, not only the scenario itself. `allowed`
    are errors with which the scenario may answer a cancellation, beside CancelledError; `may_return` lets it
    return normally. `leaks="cancel"` allows tasks to be left after `check`. `only` runs one point: how a
    failure is repeated. `on_failure` is called with each failure instead of raising the first.

    Raises:
        CancelFailedError: at the first failure, from its error, with how to repeat it.
        Exception: whatever the scenario or `check` raises without any cancellation.
    """
    if not seeds:
        raise ConfigurationError("seeds must name at least one seed")

    def trial(seed: int, canceller: _Canceller) -> None:
        async def main() -> None:
            made = world()
            canceller.driver = asyncio.current_task()
            target = canceller.target = asyncio.create_task(_call(scenario, made), name="scenario")
            await asyncio.wait({target})
            _judge(target, canceller, allowed=allowed, may_return=may_return or every_task)
            # What `check` does is not part of the scenario.
            canceller.target = None
            verdict = check(made)
            if inspect.isawaitable(verdict):
                await verdict

        loop = SeededLoop(seed, step_seconds=step_seconds, max_steps=max_steps)
        drive(loop, main(), leaks=leaks, watcher=canceller)

    trials = 0
    failures: list[CancelFailure] = []
    for point in [only] if only else _points(seeds, trial, every_task=every_task):
        canceller = _Canceller(point, every_task=every_task)
        trials += 1
        try:
            trial(point.seed, canceller)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            failure = CancelFailure(point=point, where=canceller.where, error=error)
            failures.append(failure)
            if on_failure is None:
                raise CancelFailedError(
                    f"cancelled at {failure.where} ({point.moment}): {type(error).__name__}: {error}",
                    hint=f"repeat it with cancel_everywhere(..., only={point})",
                    point=point,
                ) from error
            on_failure(failure)
    return CancelReport(trials=trials, failures=tuple(failures))


def _points(
    seeds: Sequence[int], trial: Callable[[int, _Canceller], None], *, every_task: bool
) -> Iterator[CancelPoint]:
    for seed in seeds:
        counter = _Canceller(None, every_task=every_task)
        trial(seed, counter)
        for step in range(counter.steps):
            yield CancelPoint(seed=seed, step=step, moment="arrived")
            yield CancelPoint(seed=seed, step=step, moment="waiting")


async def _call(scenario: Callable[[W], Coroutine[Any, Any, object]], world: W) -> None:
    await scenario(world)


def _judge(
    target: asyncio.Task[Any],
    canceller: _Canceller,
    *,
    allowed: tuple[type[BaseException], ...],
    may_return: bool,
) -> None:
    if target.cancelled():
        if canceller.where:
            return
        raise SwallowedCancellationError("the scenario cancelled itself, nobody else did")
    error = target.exception()
    if error is not None and not (canceller.where and isinstance(error, allowed)):
        raise error
    if error is None and canceller.where and not may_return:
        raise SwallowedCancellationError(
            "the scenario was cancelled and returned as if it had not been",
            hint="let CancelledError pass, or say may_return=True",
        )
