"""What specflow adds to a tool call, and to a whole agent run, when nothing in them takes any time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator
from time import process_time
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool

import specflow as sf
from specflow.bench.effort import Effort
from specflow.bench.paired import Measure, in_turn, paired
from specflow.bench.row import Row, row
from specflow.bench.sample import folder, musing, runtime, tools
from specflow.bench.told import Told
from specflow.effects.call import Call
from specflow.effects.tool import CallContext, Runner
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import TurnContext
from specflow.speculation.adopt import RealCall
from specflow.speculation.session import SessionKey
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply

BENCH = "call"
TOOL = "look_up_order"
AT_ONCE = 4
"""Early calls under way at a time: as many as a policy without budgets allows."""


def rows(effort: Effort) -> Iterator[Row]:
    """One read, and one run of an agent with one read."""
    effort.tell("call: one read")
    yield from asyncio.run(_reads(effort))
    effort.tell("call: an agent's run")
    yield from asyncio.run(_agents(effort))


async def _reads(effort: Effort) -> list[Row]:
    count = effort.size(400, 40)
    offered = tools()
    (tool,) = (one for one in offered if one.name == TOOL)
    told = Told()
    with folder() as place:
        async with runtime(place, offered, "reads", predictors=[told]) as rt:
            real = _Reads(rt, tool, told, count)
            measured = await in_turn(
                {
                    "tool.ainvoke": real.bare,
                    "through the door": real.through,
                    "through the door, our own part": real.own,
                    "hit, handed over": real.hit,
                },
                rounds=effort.pairs(15),
            )
    baseline = measured.pop("tool.ainvoke")
    notes = {
        "through the door": "tool.ainvoke inside; with cold caches that takes longer, too",
        "through the door, our own part": "goal: less than 200 us",
        "hit, handed over": "the tool had run before; in a graph LangChain's part around it stays",
    }
    return [
        row(
            BENCH,
            f"read: {case}",
            "CPU time per call",
            "us",
            paired(values, baseline),
            note=notes.get(case, ""),
        )
        for case, values in measured.items()
    ]


class _Reads:
    """The same read, `count` times: as LangChain runs it, through the door, adopted. Microseconds each."""

    def __init__(self, rt: sf.Runtime, tool: BaseTool, told: Told, count: int) -> None:
        self._coordinator = rt.host.coordinator()
        self._session = self._coordinator.session(SessionKey(thread="bench"))
        self._registry = rt.registry
        self._tool, self._spec = tool, rt.registry.require(tool.name)
        self._told, self._count, self._number = told, count, 0

    async def bare(self) -> float:
        started = process_time()
        for args in self._args(self._count):
            await self._tool.ainvoke(args)
        return self._each(process_time() - started)

    async def through(self) -> float:
        started = process_time()
        for args in self._args(self._count):
            await self._real(Call(tool=TOOL, args=args))
        return self._each(process_time() - started)

    async def own(self) -> float:
        """Only what is ours; LangChain's call in between empties the processor's caches, as in an agent."""
        seconds = 0.0
        for args in self._args(self._count):
            started = process_time()
            await self._real(Call(tool=TOOL, args=args), _nothing)
            seconds += process_time() - started
            await self._tool.ainvoke(args)
        return self._each(seconds)

    async def hit(self) -> float:
        seconds = 0.0
        for _ in range(self._count // AT_ONCE):
            calls = [Call(tool=TOOL, args=args) for args in self._args(AT_ONCE)]
            turn = self._coordinator.begin_turn(
                self._session, TurnContext(tools=self._registry), contextvars.copy_context()
            )
            self._told.tell(calls)
            self._coordinator.hear(turn, Chunk(kind=ChunkKind.REASONING, text="."))
            early = [one.work for one in self._session.pending if one.work is not None]
            assert len(early) == AT_ONCE, "every call of the batch was started"
            await asyncio.wait(early)
            self._coordinator.end_turn(turn, calls)
            started = process_time()
            for call in calls:
                await self._real(call)
            seconds += process_time() - started
        return self._each(seconds)

    def _args(self, count: int) -> Iterator[dict[str, Any]]:
        for _ in range(count):
            self._number += 1
            yield {"order_id": f"A-{self._number}"}

    def _each(self, seconds: float) -> float:
        return 1e6 * seconds / self._count

    async def _real(self, call: Call, runner: Runner | None = None) -> Any:
        identity = f"bench {call.args['order_id']}"
        real = RealCall(call=call, tool=self._spec, runner=runner or self._run, identity=identity)
        return await self._coordinator.real_call(self._session, real)

    async def _run(self, call: Call, context: CallContext) -> Any:
        return await self._tool.ainvoke(call.plain_args())


async def _nothing(call: Call, context: CallContext) -> Any:
    return None


class _Idle(AgentMiddleware[Any, Any, Any]):
    """Wraps what specflow wraps, and does nothing: what LangChain takes for any middleware."""

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(request)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await handler(request)


async def _agents(effort: Effort) -> list[Row]:
    each = effort.size(5, 1)
    with folder() as place:
        plain = create_agent(_model(), tools())
        offered = {mode: tools() for mode in ("off", "on")}
        async with (
            runtime(place, offered["off"], "off", mode="off") as off,
            runtime(place, offered["on"], "on") as on,
        ):
            measured = await in_turn(
                {
                    "without specflow": _runs(plain, each),
                    "without specflow, streamed": _runs(plain, each, streamed=True),
                    "a middleware that does nothing": _runs(
                        create_agent(_model(), tools(), middleware=[_Idle()]), each
                    ),
                    "mode off": _runs(_agent(off, offered["off"]), each),
                    "mode on, nothing to gain": _runs(_agent(on, offered["on"]), each),
                },
                rounds=effort.pairs(15),
            )
    baseline = measured.pop("without specflow")
    notes = {
        "without specflow, streamed": "the same agent with stream_mode=messages: what streaming itself costs",
        "mode on, nothing to gain": "specflow has to stream to hear anything",
    }
    return [
        row(
            BENCH,
            f"agent: {case}",
            "CPU time per run",
            "ms",
            paired(values, baseline),
            note=notes.get(case, ""),
        )
        for case, values in measured.items()
    ]


def _model() -> ScriptedChatModel:
    asking = Reply(reasoning=musing(100), calls=(CallPlan(TOOL, {"order_id": "A-10432"}),))
    return ScriptedChatModel(script=[asking, Reply(text="It is on its way.")], speed=None)


# Any: a compiled agent's four type parameters say nothing that is used here.
def _agent(rt: sf.Runtime, offered: list[BaseTool]) -> Any:
    return create_agent(_model(), offered, middleware=[rt.middleware()])


def _runs(agent: Any, count: int, *, streamed: bool = False) -> Measure:
    async def measure() -> float:
        started = process_time()
        for _ in range(count):
            question = {"messages": [HumanMessage("Where is A-10432?")]}
            if streamed:
                async for _chunk in agent.astream(question, stream_mode="messages"):
                    pass
            else:
                await agent.ainvoke(question)
        return 1e3 * (process_time() - started) / count

    return measure
