"""An event loop with virtual time and a seeded scheduler: the same seed gives the same history.

Nothing ever sleeps. When nothing is ready, time jumps to the next timer; when several things are ready, a
seeded generator draws which runs next. Which orders asyncio guarantees, and this loop keeps:

1. The steps of one task stay in order (a task never has two of them pending).
2. Plain callbacks (`call_soon`, the done callbacks of futures) run in the order they were registered, and
   before every task step registered after them. So a done callback added before an `await` of the same
   future has run when the await returns, and `call_soon(f)` then `await sleep(0)` has run `f`.
3. A timer never fires before its time, nor before a timer that is due earlier.

Everything else is drawn: which of the ready tasks goes on, how long a ready task has to wait while others
run, and whether a timer that is due fires before, between or after them. asyncio says of timers for the same
instant that their order is undefined; a ready task is late in real life whenever a socket woke it. On odd
seeds a quarter of the tasks is held back (one draw in sixteen), which finds bugs that need a long delay.

`run_in_executor` and `asyncio.to_thread` run the function inline at a drawn instant and hand its result over
at another, so that a cancelled wait may find the work done all the same, as with a real thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import random
import weakref
from collections.abc import Callable, Coroutine, Generator
from functools import cached_property
from typing import Any, Protocol, TypeVar, TypeVarTuple

from specflow.errors import ConfigurationError, SpecflowError
from specflow.testing.hermetic_loop import HermeticLoop, set_running
from specflow.testing.scheduler import Scheduler
from specflow.testing.seeded_task import (
    SeededFuture,
    SeededTask,
    label_of,
    stepping_task,
    unheard,
    waiting_at,
)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class DeadlockError(SpecflowError):
    """Nothing is ready and nothing is scheduled, but the main task is not done; names who waits where."""

    code = "deadlock"


class LivelockError(SpecflowError):
    """The main task was not done after as many steps as a run may take."""

    code = "livelock"


class Watcher(Protocol):
    """Is told of every step a task takes, just before and just after it."""

    def before(self, task: asyncio.Task[Any]) -> None: ...
    def after(self, task: asyncio.Task[Any]) -> None: ...


class SeededLoop(HermeticLoop):
    """See the module. `step_seconds` is the most virtual time one step may take (drawn; 0: none at all),
    so that time-outs can strike between any two steps. `max_steps` ends a run that never would.

    Usable wherever a loop is made: `asyncio.Runner(loop_factory=lambda: SeededLoop(7))`, or `explore`.
    """

    def __init__(self, seed: int = 0, *, step_seconds: float = 0.0, max_steps: int = 1_000_000) -> None:
        if step_seconds < 0 or max_steps < 1:
            raise ConfigurationError("step_seconds must not be negative, max_steps not below 1")
        super().__init__()
        self.seed = seed
        self.steps = 0
        self.watcher: Watcher | None = None
        # Off while a run is wound up: what follows the end is no part of the history.
        self.recording = True
        self._scheduler = Scheduler(seed, lag=bool(seed % 2))
        self._step_seconds = step_seconds
        self.max_steps = max_steps
        self._history: list[tuple[float, str]] = []
        # For tasks that a foreign task factory made.
        self._foreign: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()
        self._made: dict[weakref.ref[asyncio.Task[Any]], None] = {}  # in the order in which they were made
        self._task_factory: Any = None  # the factory's type differs between Python versions

    # What ran, and when.

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._scheduler.now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once, as a function that blocks the loop would."""
        if not seconds >= 0:
            raise ConfigurationError(f"virtual time cannot go back by {-seconds} s")
        self._scheduler.now += seconds

    @cached_property
    def random(self) -> random.Random:
        """For the scenario's own choices: repeatable with the seed, apart from the scheduler's draws."""
        return random.Random(~self.seed)  # noqa: S311 - must be repeatable

    def trace(self) -> tuple[tuple[float, str], ...]:
        """Each step: virtual seconds, and what ran."""
        return tuple(self._history)

    def history(self) -> tuple[str, ...]:
        """`trace` as lines of text. Equal in every process of one Python version."""
        return tuple(f"{when:.6f} {label}" for when, label in self._history)

    def history_hash(self) -> str:
        """64 hex digits over `history`."""
        return hashlib.sha256("\n".join(self.history()).encode()).hexdigest()

    # Scheduling.

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        self.check_usable()
        handle = asyncio.Handle(callback, args, self, context)
        task = stepping_task(callback)
        if task is None:
            self._scheduler.add_plain(label_of(callback), handle)
        elif isinstance(task, SeededTask):
            self._scheduler.add_free(task.number, task.label, handle, slow=task.slow, task=task)
        else:
            number = self._foreign.setdefault(task, self._scheduler.number())
            self._scheduler.add_free(number, f"{label_of(task.get_coro())}#{number}", handle, task=task)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """As `call_soon`. From another thread it is refused: a real thread cannot be repeated."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        self.check_usable()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._scheduler.add_timer(when, f"timer:{label_of(callback)}", handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Told by the handle; a cancelled timer is dropped when its turn comes."""

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run `func` inline at a drawn instant, its result arriving at a later one; the executor is not used.

        While `func` runs, no loop is running, as in a thread. If the future is cancelled before the first
        instant `func` never runs; if between the two, it has run and nobody hears of it.
        """
        future: SeededFuture[T] = SeededFuture(loop=self, number=self._scheduler.number())
        label = f"thread:{label_of(func)}#{future.number}"

        def work() -> None:
            if future.cancelled():
                return
            set_running(None)
            try:
                value = func(*args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - handed on through the future, as an executor does
                self._later(future.number, label, deliver, future.set_exception, error)
            else:
                self._later(future.number, label, deliver, future.set_result, value)
            finally:
                set_running(self)

        def deliver(settle: Callable[[Any], None], value: object) -> None:
            if not future.done():
                settle(value)

        self.check_usable()
        self._later(future.number, label, work)
        return future

    def _later(self, number: int, label: str, callback: Callable[..., object], *args: object) -> None:
        # An empty context: a thread does not inherit the caller's (asyncio.to_thread copies it by itself).
        self._scheduler.add_free(number, label, asyncio.Handle(callback, args, self, contextvars.Context()))

    def turn(self) -> None:
        drawn = self._scheduler.next()
        if drawn is None:
            raise self._deadlock()
        self.steps += 1
        if self.steps > self.max_steps:
            raise LivelockError(
                f"the main task is not done after {self.max_steps} steps",
                hint="something loops or polls for ever; raise max_steps if it really needs more",
                last=self.history()[-10:],
            )
        if self.recording:
            self._history.append((self._scheduler.now, drawn.label))
        if self._step_seconds:
            self._scheduler.now += self._scheduler.draw() * self._step_seconds
        if drawn.task is None or self.watcher is None:
            _run_handle(drawn.handle)
        else:
            self.watcher.before(drawn.task)
            _run_handle(drawn.handle)
            self.watcher.after(drawn.task)

    def _deadlock(self) -> DeadlockError:
        waiting = tuple(sorted(waiting_at(task) for task in asyncio.all_tasks(self)))
        return DeadlockError(
            f"nothing is ready and nothing is scheduled, yet these wait: {'; '.join(waiting) or 'no task'}",
            hint="a real thread, socket or process cannot wake a task under SeededLoop: use a fake",
            waiting=waiting,
        )

    # Tasks and futures.

    def create_future(self) -> asyncio.Future[Any]:
        return SeededFuture(loop=self, number=self._scheduler.number())

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: object = None,
        **options: Any,  # context, and what later Pythons add
    ) -> asyncio.Task[T]:
        self.check_usable()
        if self._task_factory is not None:
            made: asyncio.Task[T] = self._task_factory(self, coro, **options)
            self._foreign.setdefault(made, self._scheduler.number())
        else:
            slow = self._scheduler.is_slow()
            made = SeededTask(coro, number=self._scheduler.number(), slow=slow, loop=self, **options)
        label = made.label if isinstance(made, SeededTask) else f"{label_of(coro)}#{self._foreign[made]}"
        self._made[weakref.ref(made, self._forget)] = None
        made.set_name(label if name is None else str(name))
        return made

    def _forget(self, made: weakref.ref[asyncio.Task[Any]]) -> None:
        self._made.pop(made, None)

    def lost_errors(self) -> list[tuple[str, BaseException | None]]:
        """Errors nobody awaited, so far: the tasks that raised them, and what callbacks raised."""
        lost = [(str(context.get("message")), context.get("exception")) for context in self.unhandled]
        for task in filter(None, [made() for made in tuple(self._made)]):
            error = unheard(task)
            if error is not None:
                lost.append((f"the error of {task.get_name()} was never retrieved", error))
        return lost

    def close(self) -> None:
        super().close()
        self._scheduler.clear()

    def set_task_factory(self, factory: Any) -> None:
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        return self._task_factory

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's signature
        """There is none."""

    def set_default_executor(self, executor: Any) -> None:
        """Accepted and not used: see `run_in_executor`."""


def _run_handle(handle: asyncio.Handle) -> None:
    handle._run()  # noqa: SLF001 - what every loop calls on a handle; it reports errors to the loop
