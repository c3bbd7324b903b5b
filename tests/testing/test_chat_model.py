"""The model without HTTP says what the real client of the real server hears; and it keeps the loop's time."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, ValidationError

from specflow.graph.reasoning import ReasoningChatOpenAI
from specflow.testing.chat_model import ScriptedChatModel, ScriptedModelError
from specflow.testing.model_server import CallPlan, ModelServer, Reply, ScriptedError, Usage, first_times

SCRIPT = [
    Reply(
        reasoning="Oslo, then.\nBoth.",
        text="Looking…",
        calls=(CallPlan("find", {"to": "Oslo"}), CallPlan("find", {"to": "Tromsø", "n": [1, 2.5, None]})),
    ),
    Reply(text="Only text."),
    Reply(calls=(CallPlan("book", {"flight": "SK1"}, fragments=3, id="mine"),)),
    Reply(reasoning="Only thoughts.", usage=Usage(completion_tokens=99)),
    Reply(text="cut short", finish="length"),
    Reply(),
    Reply(calls=(CallPlan("f", '{"broken": '),)),
]
HELLO = [HumanMessage("hello")]


_timeouts = itertools.count(60)


def own_client(options: dict[str, Any]) -> dict[str, Any]:
    """LangChain shares clients by address and time-out, also between event loops; and ports come again."""
    return {"timeout": float(next(_timeouts)), **options}


@tool
def find(to: str) -> str:
    """Find a flight."""
    return to


class Virtual(asyncio.SelectorEventLoop):
    """A loop that jumps to the next timer instead of waiting for it."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


@pytest.fixture
def server_model() -> Iterator[Any]:
    servers: list[ModelServer] = []

    def make(script: Any, reasoning: Any = "field", **options: Any) -> ReasoningChatOpenAI:
        servers.append(ModelServer(script, reasoning=reasoning).start())
        return ReasoningChatOpenAI(
            base_url=servers[-1].url, api_key="none", model="scripted", **own_client(options)
        )

    yield make
    for server in servers:
        server.close()


def plain(message: AIMessage) -> dict[str, Any]:
    """All of a message that must be the same, whoever made it."""
    kept = {"reasoning_content": message.additional_kwargs.get("reasoning_content")}
    return {
        "content": message.content,
        "calls": [(call["name"], call["args"], call["id"]) for call in message.tool_calls],
        "invalid": [(call["name"], call["args"], call["id"]) for call in message.invalid_tool_calls],
        "kept": kept,
        "usage": {
            name: (message.usage_metadata or {}).get(name)
            for name in ("input_tokens", "output_tokens", "total_tokens")
        }
        | dict((message.usage_metadata or {}).get("output_token_details") or {}),
        "finish": message.response_metadata.get("finish_reason"),
        "model": message.response_metadata.get("model_name"),
    }


async def said(model: Any, messages: list[Any], way: str) -> AIMessage:
    if way == "invoke":
        return await asyncio.to_thread(model.invoke, messages)
    if way == "ainvoke":
        return await model.ainvoke(messages)
    if way == "stream":
        chunks = await asyncio.to_thread(lambda: list(model.stream(messages)))
    else:
        chunks = [chunk async for chunk in model.astream(messages)]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


async def converse(model: Any, way: str) -> list[dict[str, Any]]:
    """A conversation with all replies of SCRIPT, each message sent back as an agent would."""
    heard = []
    messages: list[Any] = [SystemMessage("be brief"), *HELLO]
    for _ in SCRIPT:
        message = await said(model, messages, way)
        heard.append(plain(message))
        messages.append(AIMessage(content=message.content, tool_calls=message.tool_calls))
        messages += [ToolMessage("ok", tool_call_id=call["id"]) for call in message.tool_calls]
        messages.append(HumanMessage("go on"))
    return heard


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("shape", ["field", "inline"])
async def test_the_scripted_model_and_the_server_say_the_same(
    server_model: Any, way: str, shape: Any
) -> None:
    over_http = await converse(server_model(SCRIPT, shape).bind_tools([find]), way)
    direct = await converse(ScriptedChatModel(script=SCRIPT, reasoning=shape).bind_tools([find]), way)
    assert direct == over_http
    assert over_http[0]["calls"][1][1] == {"to": "Tromsø", "n": [1, 2.5, None]}
    if shape == "field":
        assert [each["kept"]["reasoning_content"] for each in direct][:2] == ["Oslo, then.\nBoth.", None]
    else:
        assert direct[0]["content"] == "<think>Oslo, then.\nBoth.</think>Looking…"


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_blocks_carry_the_same_text_and_thoughts(way: str) -> None:
    message = await said(ScriptedChatModel(script=SCRIPT, reasoning="blocks"), HELLO, way)
    assert [block["type"] for block in message.content] == ["reasoning", "text"]
    assert message.content[0]["reasoning"] == "Oslo, then.\nBoth."
    assert message.text == "Looking…"
    assert message.tool_calls[0]["args"] == {"to": "Oslo"}


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("trouble", ["error", "cut", "mid-stream error"])
async def test_trouble_is_an_error_for_both(server_model: Any, way: str, trouble: str) -> None:
    reply = {
        "error": Reply(error=ScriptedError(status=400, message="no")),
        "cut": Reply(text="one two three", die_after=1),
        "mid-stream error": Reply(text="one two", die_after=1, error=ScriptedError(message="overloaded")),
    }[trouble]
    for model in (server_model([reply], max_retries=0), ScriptedChatModel(script=[reply])):
        with pytest.raises(Exception, match=r"no|overloaded|cut|peer closed|onnection"):
            await said(model, HELLO, way)


async def test_a_retry_after_trouble_gets_the_reply() -> None:
    trouble = Reply(error=ScriptedError(status=503))
    model = ScriptedChatModel(script=first_times([Reply(text="now")], trouble, times=2))
    with pytest.raises(ScriptedModelError) as caught:
        model.invoke(HELLO)
    assert caught.value.facts["status"] == 503
    again = ScriptedChatModel(script=first_times([Reply(text="now")], trouble, times=2)).with_retry(
        wait_exponential_jitter=False
    )
    assert (await again.ainvoke(HELLO)).content == "now"


@given(st.text(max_size=30), st.text(max_size=30), st.lists(st.integers(1, 6), min_size=1))
def test_inline_thoughts_are_split_anywhere_and_lose_nothing(
    thought: str, text: str, sizes: list[int]
) -> None:
    def split(whole: str) -> list[str]:
        pieces, rest, turn = [], whole, 0
        while rest:
            size = sizes[turn % len(sizes)]
            pieces.append(rest[:size])
            rest, turn = rest[size:], turn + 1
        return pieces

    model = ScriptedChatModel(script=[Reply(reasoning=thought, text=text)], reasoning="inline", split=split)
    deltas = [chunk.content for chunk in model.stream(HELLO)]
    assert "".join(deltas) == (f"<think>{thought}</think>" if thought else "") + text
    assert all(len(delta) <= max(sizes) for delta in deltas)


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_asynchronous_delays_keep_the_loops_own_time(way: str) -> None:
    async def run() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        await said(
            ScriptedChatModel(script=[Reply(text="a b c d")], delay=900.0, first_token=100.0), HELLO, way
        )
        first = loop.time()
        await said(ScriptedChatModel(script=[Reply(text="a b", seconds=3600.0)], speed=2.0), HELLO, way)
        return first, loop.time() - first

    with asyncio.Runner(loop_factory=Virtual) as runner:
        assert runner.run(run()) == pytest.approx((3700.0, 1800.0))


def test_a_hanging_model_can_be_timed_out_or_gives_up_after_a_day() -> None:
    async def run() -> float:
        model = ScriptedChatModel(script=[Reply(text="one two", hang_after=1)])
        heard: list[Any] = []

        async def listen() -> None:
            async for chunk in model.astream(HELLO):
                heard.append(chunk)  # noqa: PERF401 - what came before the end is what is looked at

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(listen(), 60)
        assert [chunk.content for chunk in heard] == ["one"]
        with pytest.raises(ScriptedModelError):
            await model.ainvoke(HELLO)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=Virtual) as runner:
        assert runner.run(run()) == pytest.approx(60 + 86_400)


def test_a_synchronous_hang_ends_when_released() -> None:
    model = ScriptedChatModel(script=[Reply(text="one", hang_after=1)])
    stream = model.stream(HELLO)
    assert next(stream).content == "one"
    threading.Timer(0.05, model.release).start()
    with pytest.raises(ScriptedModelError):
        list(stream)


async def test_speech_can_be_stopped_between_two_tokens() -> None:
    model = ScriptedChatModel(script=[Reply(text="word " * 1000)], delay=0.01)
    heard: list[Any] = []

    async def listen() -> None:
        async for chunk in model.astream(HELLO):
            heard.append(chunk)  # noqa: PERF401 - what came before the end is what is looked at

    task = asyncio.create_task(listen())
    while len(heard) < 3:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(heard) < 1000


async def test_requests_and_differences_are_kept() -> None:
    class Picky:
        def reply_to(self, messages: Any) -> Reply:
            return Reply(text="ok")

        def differences(self, messages: Any) -> list[str]:
            return [f"{len(messages)} messages"]

    model = ScriptedChatModel(script=Picky())
    await model.ainvoke([SystemMessage("s"), *HELLO])
    assert model.requests == [[{"role": "system", "content": "s"}, {"role": "user", "content": "hello"}]]
    assert model.differences == ["2 messages"]


def test_structured_output_works_as_for_every_chat_model() -> None:
    class City(BaseModel):
        """A city."""

        name: str

    model = ScriptedChatModel(script=[Reply(calls=(CallPlan("City", {"name": "Oslo"}),))])
    assert model.with_structured_output(City).invoke(HELLO) == City(name="Oslo")


def test_every_chunk_reaches_the_callbacks() -> None:
    from langchain_core.callbacks import BaseCallbackHandler

    class Ear(BaseCallbackHandler):
        def __init__(self) -> None:
            self.heard: list[AIMessageChunk] = []

        def on_llm_new_token(self, token: str, *, chunk: Any = None, **more: Any) -> None:
            self.heard.append(chunk.message)

        # These two make LangChain stream inside `invoke`.
        def tap_output_iter(self, run_id: Any, output: Any) -> Any:
            return output

        def tap_output_aiter(self, run_id: Any, output: Any) -> Any:
            return output

    ear = Ear()
    ScriptedChatModel(script=SCRIPT).invoke(HELLO, {"callbacks": [ear]})
    thoughts = "".join(message.additional_kwargs.get("reasoning_content", "") for message in ear.heard)
    assert thoughts == "Oslo, then.\nBoth."
    assert [c["name"] for m in ear.heard for c in m.tool_call_chunks if c["name"]] == ["find", "find"]


@pytest.mark.parametrize(
    "options", [{"script": 3}, {"script": [], "delay": -1}, {"script": [], "reasoning": "x"}]
)
def test_settings_that_mean_nothing_are_refused_by_the_model(options: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, Exception), match=r"script|delay|reasoning"):
        ScriptedChatModel(**options)


def test_chat_openai_itself_still_drops_the_thoughts(server_model: Any) -> None:
    """The reason why ReasoningChatOpenAI exists; when this fails, look whether it is still needed."""
    model = server_model(SCRIPT)
    stock = ChatOpenAI(base_url=model.openai_api_base, api_key="none", model="scripted")
    assert "reasoning_content" not in stock.invoke(HELLO).additional_kwargs
    assert all("reasoning_content" not in chunk.additional_kwargs for chunk in stock.stream(HELLO))
