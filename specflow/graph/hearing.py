"""Listening to one model call, synchronous or not, and telling the coordinator how it ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import BaseTool

from specflow.effects.call import Call, NotJsonError
from specflow.graph.compat import ambient_callback, shielded_context
from specflow.graph.history import history_of
from specflow.graph.host import Host
from specflow.graph.model_name import name_of
from specflow.graph.place import config_here, place_of, user_of
from specflow.graph.tap import StreamTap
from specflow.prediction.chunk import Chunk
from specflow.prediction.predictor import TurnContext
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.turn import Turn


class Hearing:
    """One model call being listened to. `answer` is set by whoever called the model."""

    def __init__(
        self,
        host: Host,
        messages: Sequence[BaseMessage],
        tools: Sequence[BaseTool] | None,
        loop: asyncio.AbstractEventLoop,
        model: object = None,
    ) -> None:
        self.answer: AIMessage | None = None
        self.tap = StreamTap(self.hear)
        self._tools = tools
        self._host = host
        self._loop = loop
        synchronous = loop is host.background.peek
        self._thread = 0 if synchronous else threading.get_ident()
        self._coordinator: Coordinator = host.coordinator(loop)
        self._config = config_here()
        self._place = place_of(self._config)
        self._messages = messages
        self._context = TurnContext(
            tools=host.offered(tools, synchronous=synchronous),
            history=history_of(messages),
            model=name_of(model),
            tenant=host.parts.tenant,
            user=user_of(self._config),
        )
        self._spawn = shielded_context()
        self._turn: Turn | None = None

    def begin(self) -> None:
        """On the loop: the model is about to be called."""
        if self._place.alone:
            return  # what would be started here, no call could be recognised to want
        session, _ = self._host.runs.enter(
            self._coordinator, self._place, self._config, lambda: self._messages
        )
        self._turn = self._coordinator.begin_turn(session, self._context, self._spawn, lane=self._place.lane)

    def hear(self, chunk: Chunk) -> None:
        """From any thread: the model said something more."""
        if threading.get_ident() == self._thread:
            self._hear(chunk)
        else:
            self._loop.call_soon_threadsafe(self._hear, chunk)

    def _hear(self, chunk: Chunk) -> None:
        if self._turn is not None:
            self._coordinator.hear(self._turn, chunk)

    async def end(self, cause: str) -> None:
        """On the loop: the model call is over. Without further calls to make, so is the agent's run."""
        if self._turn is None:
            return
        calls = _calls(self._host, self.answer)
        self._coordinator.end_turn(self._turn, calls, cause)
        if cause or not self._goes_on(calls):
            await self._coordinator.finish(self._turn.session, self._place.lane, cause or "run_ended")

    def _goes_on(self, calls: Sequence[Call]) -> bool:
        """Whether a tool is going to run; a structured answer looks like a call of a tool there is not."""
        names = None if self._tools is None else {tool.name for tool in self._tools}
        return any(names is None or call.tool in names for call in calls)


@asynccontextmanager
async def listening(
    host: Host, messages: Sequence[BaseMessage], tools: Sequence[BaseTool] | None, model: object = None
) -> AsyncIterator[Hearing]:
    """Listen to the model calls made inside, on the running loop."""
    hearing = Hearing(host, messages, tools, asyncio.get_running_loop(), model)
    hearing.begin()
    try:
        with ambient_callback(hearing.tap):
            yield hearing
    except BaseException as error:
        await hearing.end(_cause(error))
        raise
    await hearing.end("")


@contextmanager
def listening_sync(
    host: Host, messages: Sequence[BaseMessage], tools: Sequence[BaseTool] | None, model: object = None
) -> Iterator[Hearing]:
    """Listen to the model calls made inside, from a thread without a loop."""
    background = host.background
    hearing = Hearing(host, messages, tools, background.loop, model)
    background.call(hearing.begin)
    try:
        with ambient_callback(hearing.tap):
            yield hearing
    except BaseException as error:
        cause = _cause(error)
        background.run(lambda _caller: hearing.end(cause))
        raise
    background.run(lambda _caller: hearing.end(""))


def _cause(error: BaseException) -> str:
    return "cancelled" if isinstance(error, asyncio.CancelledError | KeyboardInterrupt) else "model_error"


def _calls(host: Host, answer: AIMessage | None) -> list[Call]:
    calls: list[Call] = []
    for asked in answer.tool_calls if answer is not None else ():
        tool = host.parts.registry.get(asked["name"])
        args: dict[str, Any] = asked["args"]
        try:
            calls.append(tool.call(args) if tool is not None else Call(tool=asked["name"], args=args))
        except NotJsonError:
            calls.append(Call(tool=asked["name"]))
    return calls
