"""What listening costs for each token: LangChain's stream alone, with everything listening, and the parts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from time import process_time
from typing import Any, TypeVar

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables.config import var_child_runnable_config

from specflow.bench.effort import Effort
from specflow.bench.paired import Measure, in_turn, paired
from specflow.bench.row import Row, row
from specflow.bench.sample import folder, musing, runtime, tools
from specflow.effects.registry import ToolRegistry
from specflow.graph.compat import ambient_callback
from specflow.graph.hearing import listening
from specflow.graph.tools import specs_of
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.predictor import HistoryItem, Predictor, TurnContext
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.prediction.think_tags import ThinkSplitter
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import Reply
from specflow.testing.model_server.tokens import split_tokens

P = TypeVar("P")
BENCH, METRIC, UNIT = "chunk", "CPU time per token", "us"
IDLE = "stream, a callback that does nothing"
ASKED = "Where is my order A-10432? I moved to 12 Harbour Street, and the parcel has not come."
ANNOUNCED = "I will call look_up_order with order_id A-10432."


class _Idle(BaseCallbackHandler):
    """Present inline, like specflow's tap, and deaf."""

    run_inline = True

    def on_llm_new_token(self, token: str | list[str | dict[str, Any]], **kwargs: Any) -> None:
        """Nothing."""


def rows(effort: Effort) -> Iterator[Row]:
    """For about 1,000 and 10,000 tokens of reasoning."""
    for words in (effort.size(800, 80), effort.size(8_000, 300)):
        thought = musing(words, opening=ANNOUNCED)
        tokens = split_tokens(thought)
        effort.tell(f"chunk: {len(tokens)} tokens")
        yield from asyncio.run(_measured(thought, tokens, effort))


async def _measured(thought: str, tokens: Sequence[str], effort: Effort) -> list[Row]:
    history = (HistoryItem(role="user", text=ASKED),)
    context = TurnContext(tools=ToolRegistry(specs_of(tools())), history=history)
    arguments = json.dumps({"query": thought})
    async with _streams(thought, len(tokens)) as streams:
        measured = await in_turn(
            {
                **streams,
                "splitter by itself": _parts(_split, tokens),
                "sniffer by itself": _parts(_ear(ReasoningSniffer(), context), _chunks(tokens)),
                "partial call by itself": _parts(
                    _ear(PartialCallPredictor(), context), _argument_chunks(split_tokens(arguments))
                ),
            },
            rounds=effort.pairs(9),
        )
    baseline = measured.pop("stream alone")
    return [
        row(
            BENCH,
            f"{len(tokens)} tokens: {case}",
            METRIC,
            UNIT,
            paired(values, baseline),
            note="what LangChain takes for any callback" if case == IDLE else "",
        )
        for case, values in measured.items()
    ]


@asynccontextmanager
async def _streams(thought: str, count: int) -> AsyncIterator[dict[str, Measure]]:
    model = ScriptedChatModel(script=[Reply(reasoning=thought, text="Done.")], speed=None)
    offered = tools()
    messages: list[BaseMessage] = [
        SystemMessage("You answer for a shop."),
        HumanMessage(ASKED, id="asked"),
    ]

    async def stream() -> float:
        started = process_time()
        async for _ in model.astream(messages):
            pass
        return 1e6 * (process_time() - started) / count

    async def beside_nothing() -> float:
        with ambient_callback(_Idle()):
            return await stream()

    with folder() as place:
        async with runtime(place, offered, "chunk") as rt:

            async def heard() -> float:
                started = process_time()
                # As in a node of a run: elsewhere nothing is listened to.
                token = var_child_runnable_config.set({"configurable": {"thread_id": "bench"}})
                try:
                    async with listening(rt.host, messages, offered):
                        await stream()
                finally:
                    var_child_runnable_config.reset(token)
                return 1e6 * (process_time() - started) / count

            yield {"stream alone": stream, IDLE: beside_nothing, "stream, listened to": heard}


def _parts(fresh: Callable[[], Callable[[P], Iterable[object]]], pieces: Sequence[P]) -> Measure:
    """One part hears every piece, anew each time."""

    async def measure() -> float:
        hear = fresh()
        started = process_time()
        for piece in pieces:
            for _ in hear(piece):
                pass
        return 1e6 * (process_time() - started) / len(pieces)

    return measure


def _split() -> Callable[[str], Iterable[object]]:
    return ThinkSplitter().feed


def _ear(predictor: Predictor, context: TurnContext) -> Callable[[], Callable[[Chunk], Iterable[object]]]:
    return lambda: predictor.listen(context).hear


def _chunks(tokens: Sequence[str]) -> list[Chunk]:
    return [Chunk(kind=ChunkKind.REASONING, text=token) for token in tokens]


def _argument_chunks(tokens: Sequence[str]) -> list[Chunk]:
    first = Chunk(kind=ChunkKind.TOOL_CALL, tool="search_articles")
    return [first, *(Chunk(kind=ChunkKind.TOOL_CALL, text=token) for token in tokens)]
