"""A model call of a fork, adopted: tokens, usage, callbacks and type as without specflow."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from specflow.clock import SystemClock
from specflow.graph.compat import ambient_callback
from specflow.graph.fork.adopting import Adopters
from specflow.graph.fork.current import Fork, enter
from specflow.graph.fork.exchange import Exchange
from specflow.graph.fork.forms import adopting
from specflow.graph.host import Host
from specflow.graph.tap import StreamTap
from specflow.journal.memory import MemoryJournal
from specflow.speculation.model_calls import Adoption
from specflow.speculation.session import Session, SessionKey
from specflow.testing.chat_model import ScriptedChatModel, ScriptedModelError
from specflow.testing.model_server import ModelServer
from specflow.testing.model_server.reply import CallPlan, Reply, ScriptedError
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import StaticJudge

THREAD = "scene"
QUESTION = [HumanMessage("What is the weather in Oslo?", id="q")]
SAID = [
    *QUESTION,
    AIMessage("", id="a1", tool_calls=[{"name": "weather", "args": {"city": "Oslo"}, "id": "call_1"}]),
    ToolMessage("rain", tool_call_id="call_1", id="t1"),
]
REPLIES = [
    Reply(reasoning="Let me see.", calls=(CallPlan("weather", {"city": "Oslo"}),)),
    Reply(text="It rains in Oslo, so take an umbrella with you."),
]


class Twig:
    """A branch that only keeps what it owns."""

    def __init__(self) -> None:
        self.lost = False
        self.owned: dict[object, Callable[[str], object]] = {}

    def own(self, item: object, end: Callable[[str], object]) -> None:
        self.owned[item] = end

    def disown(self, item: object) -> None:
        self.owned.pop(item, None)

    def abort(self) -> None:
        self.lost = True
        while self.owned:
            self.owned.popitem()[1]("mismatch")


class Scene:
    """A host with one conversation, in which forks and real calls meet."""

    def __init__(self) -> None:
        self.core = ScriptedCore([], StaticJudge({}), MemoryJournal(SystemClock()))
        self.host = Host(self.core.parts)
        self.adopters = Adopters(Exchange(self.host))
        self.branch = Twig()

    @property
    def session(self) -> Session:
        return self.host.coordinator().session(SessionKey(thread=THREAD))

    async def in_fork(self, body: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        """Start `body` as part of a fork, and let it begin."""
        loop = asyncio.get_running_loop()
        fork = Fork(
            branch=self.branch,
            session=self.session,
            coordinator=self.host.coordinator(),
            loop=loop,
            calls=self.session.model_calls,
        )
        context = contextvars.copy_context()
        context.run(enter, fork)
        context.run(in_thread)

        async def heard() -> Any:
            with ambient_callback(StreamTap(lambda _chunk: None)):
                return await body()

        task = loop.create_task(heard(), context=context)
        await asyncio.sleep(0)
        return task


def in_thread() -> None:
    """As inside a node of a graph of that conversation."""
    var_child_runnable_config.set(RunnableConfig(configurable={"thread_id": THREAD, "checkpoint_ns": "n:1"}))


class Recorder(BaseCallbackHandler):
    """Everything LangChain tells a handler, without what differs from call to call."""

    run_inline = True

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.seen.append(("start", serialized, kwargs.get("invocation_params"), kwargs.get("options")))

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **kwargs: Any) -> None:
        self.seen.append(("token", token, _shape(chunk.message) if chunk else None))

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.seen.append(("end", _shape(response.generations[0][0].message)))

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.seen.append(("error", type(error).__name__))


def _shape(message: AIMessage | AIMessageChunk) -> dict[str, Any]:
    return {
        name: value for name, value in message.model_dump().items() if name not in {"id", "response_metadata"}
    } | {"metadata": {k: v for k, v in message.response_metadata.items() if k != "id"}}


class Provider:
    """One model over HTTP or scripted, and how often it was really called."""

    def __init__(self, kind: str, replies: Any = REPLIES, *, pace: float | None = None) -> None:
        self.server = ModelServer(replies, pace=pace).start() if kind == "http" else None
        self.scripted = ScriptedChatModel(script=replies, delay=1 / pace if pace else 0.0)

    def model(self, **options: Any) -> BaseChatModel:
        if self.server is None:
            return self.scripted.model_copy(update=options)
        return ChatOpenAI(model="m", base_url=self.server.url, api_key="none", max_retries=0, **options)  # type: ignore[arg-type]

    @property
    def calls(self) -> int:
        return len(self.server.requests if self.server is not None else self.scripted.requests)

    def close(self) -> None:
        if self.server is not None:
            self.server.close()


@pytest.fixture(params=["http", "scripted"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    made = Provider(request.param)
    yield made
    made.close()


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return "rain"


def bound(model: BaseChatModel) -> Any:
    return model.bind_tools([weather])


def retried(model: BaseChatModel) -> Any:
    return model.with_retry(stop_after_attempt=2)


def with_fallback(model: BaseChatModel) -> Any:
    return model.with_fallbacks([model.model_copy()])


def plain_form(model: BaseChatModel) -> Any:
    return model


FORMS = {"plain": plain_form, "bound": bound, "retry": retried, "fallbacks": with_fallback}


async def streamed(model: Any, said: Any, recorder: Recorder) -> list[Any]:
    """What `astream` gives, without the ids, which are those of the run."""
    return [
        chunk.model_dump(exclude={"id"}) async for chunk in model.astream(said, {"callbacks": [recorder]})
    ]


@pytest.mark.parametrize("form", FORMS)
async def test_an_adopted_stream_is_the_stream_of_the_model(provider: Provider, form: str) -> None:
    expected, wanted = Recorder(), Recorder()
    model = FORMS[form](provider.model())
    want = await streamed(model, SAID, expected)
    scene = Scene()
    ahead = adopting(scene.adopters, model)
    in_thread()
    await (await scene.in_fork(lambda: collect(ahead, SAID)))
    before = provider.calls
    got = await streamed(ahead, SAID, wanted)
    assert provider.calls == before, "adopted, not called again"
    assert scene.session.model_calls.seen == {Adoption.HIT: 1}
    assert without_server_ids(got) == without_server_ids(want)
    assert wanted.seen == expected.seen
    assert len(scene.session.model_calls) == 0
    assert not scene.branch.owned


async def collect(model: Any, said: Any) -> list[Any]:
    return [chunk async for chunk in model.astream(said)]


def without_server_ids(chunks: list[Any]) -> list[Any]:
    return [
        chunk | {"response_metadata": {k: v for k, v in chunk["response_metadata"].items() if k != "id"}}
        for chunk in chunks
    ]


@pytest.mark.parametrize("form", FORMS)
async def test_an_adopted_answer_is_the_answer_of_the_model(provider: Provider, form: str) -> None:
    expected, recorder = Recorder(), Recorder()
    model = FORMS[form](provider.model(disable_streaming=True))
    want: AIMessage = await model.ainvoke(SAID, {"callbacks": [expected]})
    scene = Scene()
    ahead = adopting(scene.adopters, model)
    in_thread()
    await (await scene.in_fork(lambda: ahead.ainvoke(SAID)))
    before = provider.calls
    got: AIMessage = await ahead.ainvoke(SAID, {"callbacks": [recorder]})
    assert provider.calls == before
    assert _shape(got) == _shape(want)
    assert got.usage_metadata
    assert got.id
    assert got.id != want.id
    assert recorder.seen == expected.seen


async def test_one_that_still_runs_is_read_from_its_beginning() -> None:
    provider = Provider("scripted", pace=200)
    scene = Scene()
    ahead = adopting(scene.adopters, provider.model())
    in_thread()
    await scene.in_fork(lambda: collect(ahead, SAID))
    while not any(scene.branch.owned):
        await asyncio.sleep(0)
    got = await collect(ahead, SAID)
    assert "".join(chunk.text for chunk in got) == REPLIES[1].text
    assert scene.session.model_calls.seen == {Adoption.LATE: 1}
    assert provider.calls == 1


async def test_what_is_adopted_outlives_its_branch() -> None:
    provider = Provider("scripted", pace=200)
    scene = Scene()
    ahead = adopting(scene.adopters, provider.model())
    in_thread()
    forked = await scene.in_fork(lambda: collect(ahead, SAID))
    while not scene.branch.owned:
        await asyncio.sleep(0)
    reader = asyncio.create_task(collect(ahead, SAID))
    while not scene.session.model_calls.seen:
        await asyncio.sleep(0)
    forked.cancel()
    scene.branch.abort()
    assert "".join(chunk.text for chunk in await reader) == REPLIES[1].text
    assert provider.calls == 1


async def test_what_nobody_adopts_is_cancelled_with_its_branch() -> None:
    provider = Provider("scripted", pace=20)
    scene = Scene()
    ahead = adopting(scene.adopters, provider.model())
    in_thread()
    forked = await scene.in_fork(lambda: collect(ahead, SAID))
    while not provider.calls:
        await asyncio.sleep(0)
    (recording,) = scene.branch.owned
    scene.branch.abort()
    with pytest.raises(asyncio.CancelledError):
        await recording.work  # type: ignore[attr-defined]  # a Recording
    forked.cancel()
    assert len(scene.session.model_calls) == 0
    await collect(ahead, SAID)
    assert provider.calls == 2, "the real run makes its own"


async def test_other_messages_other_settings_or_other_tools_are_not_adopted(provider: Provider) -> None:
    scene = Scene()
    model = provider.model()
    in_thread()
    await (await scene.in_fork(lambda: collect(adopting(scene.adopters, model), SAID)))
    before = provider.calls
    other = [*SAID[:-1], ToolMessage("snow", tool_call_id="call_1")]
    await collect(adopting(scene.adopters, model), other)
    hotter = "temperature" if isinstance(model, ChatOpenAI) else "model_name"
    value: Any = 1.5 if isinstance(model, ChatOpenAI) else "another"
    await collect(adopting(scene.adopters, model).model_copy(update={hotter: value}), SAID)
    await collect(adopting(scene.adopters, model).bind_tools([weather]), SAID)
    await collect(adopting(scene.adopters, model), QUESTION)
    assert provider.calls == before + 4
    assert scene.session.model_calls.seen == {Adoption.MISS: 4}


@pytest.mark.parametrize("manner", ["stream", "whole"])
async def test_an_error_before_the_first_token_is_nobodys(provider: Provider, manner: str) -> None:
    failing = Reply(error=ScriptedError(status=429, message="slow down"))
    answers = iter([failing, REPLIES[1]])
    troubled = Provider("http" if provider.server else "scripted", lambda _messages: next(answers))
    try:
        scene = Scene()
        ahead = adopting(scene.adopters, troubled.model(disable_streaming=manner == "whole"))
        in_thread()
        forked = await scene.in_fork(lambda: ahead.ainvoke(SAID))
        await asyncio.wait({forked})
        assert forked.exception() is not None
        assert (await ahead.ainvoke(SAID)).text == REPLIES[1].text
        ended = {Adoption.CANCELLED: 1} if manner == "whole" else {}  # streamed, it is another call
        assert scene.session.model_calls.seen == {Adoption.MISS: 1, **ended}
    finally:
        troubled.close()


async def test_an_error_after_tokens_were_shown_is_the_callers() -> None:
    answers = iter([Reply(text="one two three four", die_after=2), REPLIES[1]])
    provider = Provider("scripted", lambda _messages: next(answers), pace=100)
    scene = Scene()
    ahead = adopting(scene.adopters, provider.model())
    in_thread()
    forked = await scene.in_fork(lambda: collect(ahead, SAID))
    while not scene.branch.owned:
        await asyncio.sleep(0)
    heard = Recorder()
    with pytest.raises(ScriptedModelError):
        await ahead.ainvoke(SAID, {"callbacks": [heard, StreamTap(lambda _chunk: None)]})
    assert [kind for kind, *_ in heard.seen] == ["start", "token", "token", "error"]
    assert provider.calls == 1, "as when the provider breaks: whoever retries, retries"
    await asyncio.wait({forked})
    assert forked.exception() is not None


async def test_what_broke_off_before_it_was_wanted_is_made_again() -> None:
    answers = iter([Reply(text="one two three four", die_after=2), REPLIES[1]])
    provider = Provider("scripted", lambda _messages: next(answers))
    scene = Scene()
    ahead = adopting(scene.adopters, provider.model())
    in_thread()
    forked = await scene.in_fork(lambda: collect(ahead, SAID))
    await asyncio.wait({forked})
    assert forked.exception() is not None
    assert "".join(chunk.text for chunk in await collect(ahead, SAID)) == REPLIES[1].text
    assert scene.session.model_calls.seen == {Adoption.CANCELLED: 1, Adoption.MISS: 1}


async def test_a_fork_that_comes_too_late_ends() -> None:
    from langgraph.errors import GraphInterrupt

    provider = Provider("scripted", pace=50)
    scene = Scene()
    ahead = adopting(scene.adopters, provider.model())
    in_thread()
    real = asyncio.create_task(collect(ahead, SAID))
    while not provider.calls:
        await asyncio.sleep(0)
    forked = await scene.in_fork(lambda: collect(ahead, SAID))
    with pytest.raises(GraphInterrupt):
        await forked
    await real
    assert provider.calls == 1
    assert scene.session.model_calls.seen == {Adoption.MISS: 1, Adoption.OVERTAKEN: 1}


async def test_among_equals_the_first_registered_is_adopted() -> None:
    answers = iter([Reply(text="the first, slow", seconds=0.2), Reply(text="the second")])
    provider = Provider("scripted", lambda _messages: next(answers))
    scene = Scene()
    ahead = adopting(scene.adopters, provider.model())
    in_thread()
    one = await scene.in_fork(lambda: collect(ahead, SAID))
    while provider.calls < 1:
        await asyncio.sleep(0)
    await (await scene.in_fork(lambda: collect(ahead, SAID)))
    assert "".join(chunk.text for chunk in await collect(ahead, SAID)) == "the first, slow"
    await one


async def test_a_cancelled_real_run_leaves_nothing_running() -> None:
    provider = Provider("scripted", pace=10)
    scene = Scene()
    ahead = adopting(scene.adopters, provider.model())
    in_thread()
    forked = await scene.in_fork(lambda: collect(ahead, SAID))
    while not scene.branch.owned:
        await asyncio.sleep(0)
    (recording,) = scene.branch.owned
    reader = asyncio.create_task(collect(ahead, SAID))
    while not scene.session.model_calls.seen:
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    with pytest.raises(asyncio.CancelledError):
        await recording.work  # type: ignore[attr-defined]  # a Recording
    await asyncio.wait({forked})


async def test_in_a_fork_nobody_hears_the_model_and_no_cache_is_filled() -> None:
    from langchain_core.caches import InMemoryCache

    provider = Provider("scripted")
    heard, cache = Recorder(), InMemoryCache()
    model = provider.model(callbacks=[heard], cache=cache)
    scene = Scene()
    in_thread()
    ahead = adopting(scene.adopters, model)
    forked = await scene.in_fork(lambda: ahead.with_config(callbacks=[heard]).ainvoke(SAID))
    await forked
    assert heard.seen == []
    assert not cache._cache
    await ahead.ainvoke(SAID)
    assert heard.seen, "the real run is heard as ever"
    assert cache._cache
    assert provider.calls == 1


@pytest.mark.parametrize("tool_given", [{"type": "web_search"}, {"type": "mcp", "server_url": "https://x"}])
async def test_a_model_that_acts_by_itself_is_not_called_early(tool_given: dict[str, Any]) -> None:
    from langgraph.errors import GraphInterrupt

    provider = Provider("scripted")
    scene = Scene()
    in_thread()
    forked = await scene.in_fork(
        lambda: adopting(scene.adopters, provider.model()).bind(tools=[tool_given]).ainvoke(SAID)
    )
    with pytest.raises(GraphInterrupt):
        await forked
    assert provider.calls == 0


@pytest.mark.parametrize("manner", ["stream", "whole"])
async def test_a_synchronous_run_adopts_from_a_synchronous_fork(provider: Provider, manner: str) -> None:
    model = provider.model(disable_streaming=manner == "whole")
    scene = Scene()
    ahead = adopting(scene.adopters, model)
    background = scene.host.background
    loop = background.loop
    coordinator = scene.host.coordinator(loop)
    session = background.call(lambda: coordinator.session(SessionKey(thread=THREAD)))
    fork = Fork(
        branch=scene.branch, session=session, coordinator=coordinator, loop=loop, calls=session.model_calls
    )

    def forked() -> list[Any]:
        enter(fork)
        in_thread()
        with ambient_callback(StreamTap(lambda _chunk: None)):
            return list(ahead.stream(SAID))

    def real() -> list[Any]:
        in_thread()
        return [chunk.model_dump(exclude={"id"}) for chunk in ahead.stream(SAID)]

    want = await asyncio.to_thread(lambda: [c.model_dump(exclude={"id"}) for c in model.stream(SAID)])
    await asyncio.to_thread(forked)
    before = provider.calls
    got = await asyncio.to_thread(real)
    assert provider.calls == before
    assert without_server_ids(got) == without_server_ids(want)
    assert session.model_calls.seen == {Adoption.HIT: 1}
    await asyncio.to_thread(real)
    assert provider.calls == before + 1
    assert session.model_calls.seen == {Adoption.HIT: 1, Adoption.MISS: 1}
    background.stop()


@pytest.mark.parametrize("shown", [True, False])
async def test_a_synchronous_fork_that_stops_listening_cuts_nothing_short(shown: bool) -> None:
    provider = Provider("scripted", pace=50)
    scene = Scene()
    ahead = adopting(scene.adopters, provider.model())
    background = scene.host.background
    loop = background.loop
    coordinator = scene.host.coordinator(loop)
    session = background.call(lambda: coordinator.session(SessionKey(thread=THREAD)))
    fork = Fork(
        branch=scene.branch, session=session, coordinator=coordinator, loop=loop, calls=session.model_calls
    )
    heard, stop = threading.Event(), threading.Event()

    def forked() -> None:
        enter(fork)
        in_thread()
        with ambient_callback(StreamTap(lambda _chunk: None)):
            for _chunk in ahead.stream(SAID):
                heard.set()
                assert stop.wait(10)
                break

    def real() -> str:
        in_thread()
        said = ""
        for chunk in ahead.stream(SAID):
            said += chunk.text
            stop.set()
        return said

    running = asyncio.create_task(asyncio.to_thread(forked))
    await asyncio.to_thread(heard.wait, 10)
    if not shown:
        stop.set()
        await running
    assert await asyncio.to_thread(real) == REPLIES[1].text
    await running
    assert provider.calls == 1
    background.stop()


def test_the_copy_is_the_model_to_everybody_who_asks(provider: Provider) -> None:
    model = provider.model()
    copied = Scene().adopters.copy_of(model)
    assert isinstance(copied, type(model))
    assert type(copied).__name__ == type(model).__name__
    assert copied.profile == model.profile
    assert copied.to_json() == model.to_json()
    assert copied._get_llm_string() == model._get_llm_string()
    assert copied._get_ls_params() == model._get_ls_params()
    assert copied.model_dump() == model.model_dump()
    assert Scene().adopters.copy_of(copied) is copied


def test_a_model_that_cannot_be_copied_so_works_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    class Final(ScriptedChatModel):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            raise TypeError("nobody derives from this one")

    model = Final(script=REPLIES)
    adopters = Scene().adopters
    assert adopters.copy_of(model) is model
    assert adopters.copy_of(model) is model
    assert [record.message for record in caplog.records] == ["calls of Final cannot be adopted"]
    assert model.invoke(SAID).text == REPLIES[1].text
