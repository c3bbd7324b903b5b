"""Tasks and futures of the seeded loop: numbered in the order they were made, and hashed by that number.

asyncio keeps tasks in sets (`TaskGroup`, `wait`, `all_tasks`). The usual hash is the memory address, so
the order of such a set differs from process to process and with it the order of, say, cancellations. A
hash that is the number makes it the same everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from pathlib import PurePath
from typing import Any, TypeVar

T = TypeVar("T")


class SeededFuture(asyncio.Future[T]):
    """A future with a number."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop, number: int) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class SeededTask(asyncio.Task[T]):
    """A task with a number, the label it has in a history, and whether the scheduler holds it back."""

    def __init__(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        number: int,
        slow: bool,
        **options: Any,  # whatever this Python's Task takes: loop, context, eager_start
    ) -> None:
        # Set before the base class is, for that schedules the first step.
        self.number = number
        self.slow = slow
        self.label = f"{getattr(coro, '__qualname__', type(coro).__name__)}#{number}"
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.number


def stepping_task(callback: object) -> asyncio.Task[Any] | None:
    """The task whose next step `callback` is, or None when it is a plain callback.

    This is the one place that knows how asyncio schedules a task: its step and its wake-up are bound to
    the task and are no public method of it. A canary test guards it on every Python version.
    """
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task) and not hasattr(asyncio.Task, getattr(callback, "__name__", "\0")):
        return owner
    return None


def unheard(task: asyncio.Task[Any]) -> BaseException | None:
    """The error of a finished task that nobody has asked for, which asyncio would log at its collection."""
    if getattr(task, "_log_traceback", False) and task.done() and not task.cancelled():
        return task.exception()
    return None


def label_of(callback: object) -> str:
    """A name for a plain callback that is the same in every process."""
    return getattr(callback, "__qualname__", None) or type(callback).__name__


def waiting_at(task: asyncio.Task[Any]) -> str:
    """Where a task is suspended, innermost frame first found: `name at file.py:12 in function`."""
    awaitable: Any = task.get_coro()
    place = "not started"
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "ag_frame", None)
        if frame is not None:
            place = f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno} in {frame.f_code.co_name}"
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "ag_await", None)
    return f"{task.get_name()} at {place}"
