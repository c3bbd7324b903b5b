"""The story every form of the agent plays: what the model says, what the tools do, and when it goes on.

That an early call is a hit is made certain, not likely: the model holds back its last chunk until the early
calls of that message have ended. Nothing depends on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import convert_to_openai_messages
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.config import get_stream_writer

from specflow.journal.event import EventKind
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  look: {effect: read_only, speculate: now, reads: ["sky:{args.city}"]}
  break: {effect: read_only, speculate: now}
  loud: {effect: read_only, speculate: now, reads: ["sky:{args.city}"]}
  hold:
    effect: compensatable
    speculate: now
    writes: ["seat:{args.flight}"]
    predictors: [partial_call, data_flow]
    compensate: {tool: release, with: {hold_id: result.hold_id}}
  release: {effect: confirmation_required, confirm: host, compensator_for: [hold]}
  pay: {effect: confirmation_required, confirm: CONFIRM}
  # While something runs of which nobody knows what it writes, no early read is handed out: so this is said.
  scout: {effect: confirmation_required, confirm: host, writes: ["report:{args.city}"]}
"""
EARLY = {"look", "hold", "loud", "break"}
PATIENCE = 20.0
"""Seconds the model waits for an early call to end, before it goes on and the test fails."""

Messages = list[dict[str, Any]]
Calls = Sequence[tuple[str, dict[str, Any]]]


def _told(messages: Messages) -> tuple[list[str], list[str]]:
    """The words of the newest question, and what the tools have said since."""
    start = max(at for at, message in enumerate(messages) if message["role"] == "user")
    heard = [str(message["content"]) for message in messages[start:] if message["role"] == "tool"]
    return str(messages[start]["content"]).split(), heard


def story(messages: Messages) -> Reply:
    """Reads, holds a seat, pays, has a scout sent where there is one, and says what it heard."""
    asked, heard = _told(messages)
    if asked[0] == "scout":
        return reading(asked[-1], heard)
    plan = (
        CallPlan("hold", {"flight": "R2"}),
        CallPlan("pay", {"amount": 80.0}),
        *([CallPlan("scout", {"city": "Oslo"})] if asked[0] == "send" else []),
    )
    if not heard or len(heard) > len(plan):
        return reading(asked[-1], heard)
    return Reply(calls=(plan[len(heard) - 1],))


def reading(city: str, heard: list[str]) -> Reply:
    if heard:
        return Reply(reasoning="That is all.", text="Heard: " + ", ".join(heard))
    return Reply(
        reasoning=f'I will call look with city "{city}".',
        text="Let me look.",
        calls=(CallPlan("look", {"city": city}),),
    )


def side_by_side(messages: Messages) -> Reply:
    """Three reads in one message, none of them the scout's, and then what they said."""
    asked, heard = _told(messages)
    if heard or asked[0] == "scout":
        return reading(asked[-1], heard)
    return Reply(calls=tuple(CallPlan("look", {"city": city}) for city in ("Rome", "Kyiv", "Bern")))


def calling(name: str) -> Callable[[Messages], Reply]:
    """The story of one call of another read, and then what it said."""

    def script(messages: Messages) -> Reply:
        asked, heard = _told(messages)
        if heard or asked[0] == "scout":
            return reading(asked[-1], heard)
        call = CallPlan(name, {"city": "Rome"})
        return Reply(reasoning=f'I will call {name} with city "Rome".', calls=(call,))

    return script


@dataclass
class Gate:
    """Opens when the early calls have ended; without specflow (no `log`) it stands open."""

    log: EventLog | None = None

    def open(self, calls: Calls) -> bool:
        if self.log is None:
            return True
        ended = [event.call for event in self.log.of(EventKind.RUN_ENDED) if event.call is not None]
        return all(any(one.tool == name and one.args == args for one in ended) for name, args in calls)

    def _waiting(self, calls: Calls) -> Iterator[None]:
        end = time.monotonic() + PATIENCE
        while not self.open(calls) and time.monotonic() < end:
            yield

    async def acome(self, calls: Calls) -> None:
        for _ in self._waiting(calls):
            await asyncio.sleep(0.001)

    def come(self, calls: Calls) -> None:
        for _ in self._waiting(calls):
            time.sleep(0.001)


class WaitingModel(ScriptedChatModel):
    """Keeps its last chunk, the one with the usage, until the gate opens."""

    gate: Any = None
    early: frozenset[str] = frozenset(EARLY)

    def _wanted(self, messages: Any) -> Calls:
        reply = self.script.reply_to(convert_to_openai_messages(messages))
        return [(call.name, dict(call.args)) for call in reply.calls if call.name in self.early]

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in super()._stream(messages, *args, **kwargs):
            if chunk.message.usage_metadata:
                self.gate.come(self._wanted(messages))
            yield chunk

    async def _astream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in super()._astream(messages, *args, **kwargs):
            if chunk.message.usage_metadata:
                await self.gate.acome(self._wanted(messages))
            yield chunk


@dataclass
class World:
    """The tools, and every call of them, in order."""

    asynchronous: bool
    done: list[tuple[str, Any]] = field(default_factory=list)

    def look(self, city: str) -> str:
        """How a city looks today."""
        self.done.append(("look", city))
        return f"{city} is sunny"

    def loud(self, city: str) -> str:
        """How a city looks today, said aloud."""
        get_stream_writer()({"looking at": city})
        self.done.append(("loud", city))
        return f"{city} is loud"

    def break_(self, city: str) -> str:
        """Never works."""
        raise OSError(f"no line to {city}")

    def hold(self, flight: str) -> dict[str, str]:
        """Hold a seat."""
        self.done.append(("hold", flight))
        return {"hold_id": f"H-{flight}"}

    def release(self, hold_id: str) -> dict[str, bool]:
        """Give a held seat back."""
        self.done.append(("release", hold_id))
        return {"released": True}

    def pay(self, amount: float) -> str:
        """Pay an amount."""
        get_stream_writer()({"paying": amount})
        dispatch_custom_event("paying", {"amount": amount})
        self.done.append(("pay", amount))
        return f"paid {amount:g}"

    async def apay(self, amount: float) -> str:
        """Pay an amount."""
        get_stream_writer()({"paying": amount})
        await adispatch_custom_event("paying", {"amount": amount})
        self.done.append(("pay", amount))
        return f"paid {amount:g}"

    def tool(self, name: str) -> BaseTool:
        body = getattr(self, "break_" if name == "break" else name)
        if not self.asynchronous:
            return StructuredTool.from_function(body, name=name)
        other = getattr(self, f"a{name}", None)
        if other is None:

            async def other(**given: Any) -> Any:
                await asyncio.sleep(0)
                return body(**given)

        made = StructuredTool.from_function(body, name=name)
        return made.model_copy(update={"func": None, "coroutine": other})

    def tools(self, *names: str) -> list[BaseTool]:
        return [self.tool(name) for name in names]
