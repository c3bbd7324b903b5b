"""Asking a chat model the same thing several times at once, for at most so long, beside the run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from specflow.execution.early_threads import EarlyThreads
from specflow.graph.compat import only_synchronous, shielded_context
from specflow.graph.draft.size import characters_of
from specflow.graph.draft.spent import Spent

log = logging.getLogger("specflow")

T = TypeVar("T")

MOST_OPEN = 64
"""Requests of one asker that are under way, those included that were given up and do not end."""


# Any: what a provider's package makes of a model has no common type.
def bound(model: BaseChatModel, functions: Sequence[dict[str, Any]]) -> Any | None:
    """The model with these functions as tools; None where it takes none."""
    try:
        return model.bind_tools([{"type": "function", "function": one} for one in functions])
    except NotImplementedError:
        return None


class Asking:
    """`samples` requests at once, in at most `seconds`; what they cost is counted in `spent`."""

    def __init__(self, model: BaseChatModel, *, samples: int, seconds: float, spent: Spent) -> None:
        self._samples, self._seconds = samples, seconds
        # In the loop's own pool, requests that hang would leave no thread to the run's tools.
        self._threads = EarlyThreads(most=MOST_OPEN, daemon=True) if only_synchronous(model) else None
        self._open: set[asyncio.Task[Any]] = set()
        self.spent = spent

    async def ask(
        self,
        model: Any,
        messages: Sequence[BaseMessage],
        read: Callable[[AIMessage], T | None],
        *,
        beside: int = 0,
    ) -> Sequence[T]:
        """What `read` makes of the answers that came in time, in the order of the requests.

        `model` is the one given at first, bound or not; `read` returns None for an answer of no use. What
        failed is logged, and left out. `beside` are characters of the prompt that are not in the messages.
        """
        if len(self._open) + self._samples > MOST_OPEN:
            log.info("a draft model is not asked: %s requests are still open", len(self._open))
            return []
        said = beside + sum(map(characters_of, messages))
        # INVARIANT: nothing of it is seen by the run's own stream and callbacks.
        context = shielded_context()
        loop = asyncio.get_running_loop()
        requests = [
            loop.create_task(self._request(model, list(messages)), context=context.copy())
            for _ in range(self._samples)
        ]
        self._open.update(requests)
        for request in requests:
            # Also where nobody asks any more, and where one does not let itself be cancelled.
            request.add_done_callback(self._over)
        self.spent.begin(len(requests))
        try:
            await asyncio.wait(requests, timeout=self._seconds)
        finally:
            late = [request for request in requests if not request.done()]
            for request in late:
                request.cancel()
                self.spent.lose(said, late=True)
            # Also where nobody waits any more: what was answered is paid for.
            answers = [self._read(request, read, said) for request in requests if request not in late]
        return [answer for answer in answers if answer is not None]

    async def _request(self, model: Any, messages: Sequence[BaseMessage]) -> Any:
        if self._threads is None:
            return await model.ainvoke(messages)
        call = partial(copy_context().run, model.invoke, messages)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _read(self, request: asyncio.Task[Any], read: Callable[[AIMessage], T | None], said: int) -> T | None:
        error = asyncio.CancelledError() if request.cancelled() else request.exception()
        message = None if error is not None else request.result()
        if not isinstance(message, AIMessage):
            log.info("a draft model gave no answer: %r", error or message)
            self.spent.lose(said, late=False)
            return None
        try:
            answer = read(message)
        except Exception as error:  # noqa: BLE001 - what a model says: whatever is wrong with it, the others count
            log.info("a draft model's answer cannot be read: %r", error)
            answer = None
        usage: Any = message.usage_metadata
        written = characters_of(message)
        self.spent.answer(usage, prompt=said, written=written, known=answer is not None)
        return answer

    def _over(self, request: asyncio.Task[Any]) -> None:
        self._open.discard(request)
        # Looked at, so that asyncio does not warn of an error that nobody has seen.
        if not request.cancelled():
            request.exception()
