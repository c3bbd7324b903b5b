"""Asking a chat model the same thing several times at once, for at most so long, beside the run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from specflow.graph.compat import shielded_context
from specflow.graph.draft.reply import Answer, answer_in
from specflow.graph.draft.spent import Spent

log = logging.getLogger("specflow")


class Asking:
    """`samples` requests at once, in at most `seconds`; what they cost is counted in `spent`.

    The answer is asked for as a call of a tool with that `schema` (as for function calling). A model that
    takes no tools is asked all the same, and answers in text.
    """

    def __init__(
        self, model: BaseChatModel, schema: dict[str, Any], *, samples: int, seconds: float, spent: Spent
    ) -> None:
        try:
            self._model: Any = model.bind_tools([{"type": "function", "function": schema}])
        except NotImplementedError:
            self._model = model
        self._name, self._samples, self._seconds = str(schema["name"]), samples, seconds
        self.spent = spent

    async def ask(self, system: str, prompt: str) -> Sequence[Answer]:
        """What was answered in time, in the order of the requests; what failed is logged, and left out."""
        messages = [SystemMessage(system), HumanMessage(prompt)]
        said = system + prompt
        # INVARIANT: nothing of it is seen by the run's own stream and callbacks.
        context = shielded_context()
        loop = asyncio.get_running_loop()
        requests = [
            loop.create_task(self._model.ainvoke(messages), context=context.copy())
            for _ in range(self._samples)
        ]
        for request in requests:
            # Also where nobody asks any more, and where one does not let itself be cancelled.
            request.add_done_callback(_seen)
        self.spent.begin(len(requests))
        try:
            await asyncio.wait(requests, timeout=self._seconds)
        finally:
            late = [request for request in requests if not request.done()]
            for request in late:
                request.cancel()
                self.spent.lose(said, late=True)
        return [
            answer for request in requests if request not in late and (answer := self._read(request, said))
        ]

    def _read(self, request: asyncio.Task[Any], said: str) -> Answer | None:
        error = asyncio.CancelledError() if request.cancelled() else request.exception()
        message = None if error is not None else request.result()
        if not isinstance(message, AIMessage):
            log.info("a draft model gave no answer: %r", error or message)
            self.spent.lose(said, late=False)
            return None
        answer = answer_in(message, self._name)
        usage: Any = message.usage_metadata
        self.spent.answer(usage, prompt=said, text=str(message.text), known=answer is not None)
        return answer


def _seen(request: asyncio.Task[Any]) -> None:
    """Look at what came of it, so that asyncio does not warn of an error that nobody has seen."""
    if not request.cancelled():
        request.exception()
