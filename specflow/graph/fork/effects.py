"""What a tool does beside its result, events and stored values: kept, and done when it is adopted."""

from __future__ import annotations

import contextvars
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.callbacks import BaseCallbackHandler, adispatch_custom_event, dispatch_custom_event
from langgraph.store.base import PutOp

from specflow.graph.compat import ambient_callback, ambient_writer, store_and_writer

Kind = Literal["event", "custom", "put"]


@dataclass(slots=True)
class EffectLog:
    """In the order in which they were done."""

    done: list[tuple[Kind, Any]] = field(default_factory=list)

    def write(self, event: Any) -> None:
        """The tool writes to the custom stream."""
        self.done.append(("event", copy.deepcopy(event)))


@dataclass(frozen=True, slots=True)
class WithEffects:
    """A tool's result, with what it did beside it."""

    value: Any
    log: EffectLog


_LOG: contextvars.ContextVar[EffectLog | None] = contextvars.ContextVar("specflow_effects", default=None)


@contextmanager
def noting() -> Iterator[EffectLog]:
    """Around a tool's body in a fork: what it does beside its result is noted, and reaches nobody."""
    log = EffectLog()
    token = _LOG.set(log)
    try:
        with ambient_writer(log.write), ambient_callback(_CustomEvents(log)):
            yield log
    finally:
        _LOG.reset(token)


def noted_put(op: PutOp) -> None:
    """The store of the fork is written to."""
    log = _LOG.get()
    if log is not None:
        log.done.append(("put", op))


def result_of(value: Any, log: EffectLog) -> Any:
    """What goes into the pending table: the result alone, where the tool did nothing else."""
    return WithEffects(value, log) if log.done else value


async def adopted(value: Any) -> Any:
    """In the tool's place of the real run: do what it did early, and give its result."""
    if not isinstance(value, WithEffects):
        return value
    store, writer = store_and_writer()
    for kind, what in value.log.done:
        if kind == "custom":
            await adispatch_custom_event(*what)
        elif kind == "event":
            writer(what)
        elif store is not None:
            await store.abatch([what])
    return value.value


def adopted_sync(value: Any) -> Any:
    """The same in a synchronous run."""
    if not isinstance(value, WithEffects):
        return value
    store, writer = store_and_writer()
    for kind, what in value.log.done:
        if kind == "custom":
            dispatch_custom_event(*what)
        elif kind == "event":
            writer(what)
        elif store is not None:
            store.batch([what])
    return value.value


class _CustomEvents(BaseCallbackHandler):
    """Hears what is dispatched with `dispatch_custom_event`."""

    run_inline = True

    def __init__(self, log: EffectLog) -> None:
        self._log = log

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self._log.done.append(("custom", (name, copy.deepcopy(data))))
