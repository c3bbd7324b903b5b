"""Early calls over MCP, by both transports, with sessions for each call and with one that stays open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AnyMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from pydantic import Field

import specflow as sf
from specflow.graph.mcp_call import independent
from specflow.journal.event import EventKind
from specflow.journal.port import Snapshot
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.mcp_server import McpServer
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  "mcp:desk/search_rooms": {effect: read_only, reads: ["rooms:{args.city}"]}
  "mcp:desk/read_room": {effect: read_only, reads: ["room:{args.room}"]}
  "mcp:desk/describe_room": {effect: read_only, reads: ["room:{args.room}"]}
  "mcp:desk/photograph": {effect: read_only, reads: ["room:{args.room}"]}
  "mcp:desk/fail": {effect: read_only, reads: ["lamp:{args.room}"]}
  "mcp:desk/look_slowly": {effect: read_only, reads: ["look:{args.room}"]}
  "mcp:desk/book_room":
    effect: compensatable
    speculate: now
    min_confidence: 0.6
    predictors: [sniffer]
    writes: ["booking:{args.room}"]
    idempotency_key: request_id
    timeout: 30s
    compensate:
      tool: mcp:desk/cancel_room
      with: {booking_id: result.booking_id}
      succeeded_when: result.status == "cancelled"
    verify: {tool: "mcp:desk/find_booking", with: {request_id: key}}
  "mcp:desk/cancel_room": {effect: confirmation_required, compensator_for: ["mcp:desk/book_room"]}
  "mcp:desk/find_booking": {effect: read_only, speculate: never}
"""
PONDER = "Hmm, let me think about that a little more. " * 8


class Pondering(ScriptedChatModel):
    """Says its thoughts, and does not end the message before `until` is true of what has happened."""

    until: Callable[[], bool] = Field(default=lambda: True)

    async def _astream(self, *args: Any, **options: Any) -> AsyncIterator[ChatGenerationChunk]:
        heard = 0
        async for chunk in super()._astream(*args, **options):
            heard += len(str(chunk.message.additional_kwargs.get("reasoning_content", "")))
            if heard > 300:
                async with asyncio.timeout(90):
                    while not self.until():
                        await asyncio.sleep(0.01)
            yield chunk


def thinking(*thoughts: tuple[str, Mapping[str, str]], calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Any:
    """A script: think of some calls, make others, and be done."""

    def said(messages: Sequence[Mapping[str, Any]]) -> Reply:
        if messages[-1]["role"] == "tool":
            return Reply(text="That is all.")
        spoken = " ".join(
            f"I will call {name} with "
            + " and ".join(f'{key} "{value}"' for key, value in args.items())
            + "."
            for name, args in thoughts
        )
        return Reply(
            reasoning=f"{spoken} {PONDER}", calls=tuple(CallPlan(name, dict(args)) for name, args in calls)
        )

    return said


@dataclass(slots=True, kw_only=True)
class Played:
    """What came of a run."""

    messages: list[AnyMessage]
    rows: Snapshot
    log: EventLog
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def tool_messages(self) -> list[ToolMessage]:
        return [message for message in self.messages if isinstance(message, ToolMessage)]


async def play(
    tools: Sequence[Any],
    script: Any,
    url: str,
    *,
    policy: str = POLICY,
    early: int = 1,
    offered: Sequence[str] = (),
    until: Callable[[], bool] = lambda: True,
    config: Mapping[str, Any] | None = None,
    context: Any = None,
) -> Played:
    """Run the agent with specflow, and let its model think until `early` early calls have ended."""
    log = EventLog()

    def ready() -> bool:
        return len(log.of(EventKind.RUN_ENDED)) >= early and until()

    async with sf.Runtime(policy, tools=tools, journal=url, observers=[log], durability="process") as rt:
        given = [tool for tool in tools if not offered or tool.name in offered]
        agent = create_agent(Pondering(script=script, until=ready), given, middleware=[rt.middleware()])
        answer = await agent.ainvoke(
            {"messages": [{"role": "user", "content": "go on"}]}, dict(config or {}), context=context
        )
        rows = await rt.journal.snapshot()
    assert verify(rows) == ()
    return Played(messages=answer["messages"], rows=rows, log=log, outcomes=log.outcomes())


async def plainly(tools: Sequence[Any], script: Any) -> list[AnyMessage]:
    """The same agent without specflow."""
    agent = create_agent(ScriptedChatModel(script=script), list(tools))
    answer = await agent.ainvoke({"messages": [{"role": "user", "content": "go on"}]})
    messages: list[AnyMessage] = answer["messages"]
    return messages


TOWER = ("book_room", {"room": "tower", "guest": "Ann"})
GARDEN = ("book_room", {"room": "garden", "guest": "Ann"})
READ = ("read_room", {"room": "tower"})


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpServer]:
    with McpServer(world=tmp_path_factory.mktemp("desk") / "world.db") as server:
        yield server


@pytest.fixture
def server(serving: McpServer) -> McpServer:
    serving.forget()
    return serving


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


@asynccontextmanager
async def tools_of(server: McpServer, transport: str, **options: Any) -> AsyncIterator[list[Any]]:
    """`stdio` and `http` open a session for each call; with `session` one stays open."""
    http = transport.startswith("http")
    connection: Any = server.over_http if http else server.over_stdio
    client = MultiServerMCPClient({"desk": connection}, **options)
    if not transport.endswith("session"):
        yield await client.get_tools()
        return
    async with client.session("desk") as session:
        yield await load_mcp_tools(session, connection=connection, server_name="desk")


def without_ids(messages: list[AnyMessage]) -> list[Any]:
    """What the messages say. LangChain draws ids for messages and blocks of content."""
    return [
        (
            message.type,
            [{**block, "id": ""} for block in message.content]
            if isinstance(message.content, list)
            else message.content,
            getattr(message, "artifact", None),
            getattr(message, "status", None),
        )
        for message in messages
    ]


NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
# A process for each call takes seconds of a CPU; by day one read has to do.
TRANSPORTS = ["http", "http session", "stdio session", *(["stdio"] if NIGHTLY else [])]


async def test_a_read_over_a_process_of_its_own_is_a_hit(server: McpServer, journal: str) -> None:
    async with tools_of(server, "stdio") as tools:
        played = await play(tools, thinking(READ, calls=[READ]), journal)
    assert played.outcomes["hit"] == 1
    assert len(server.calls("read_room")) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_reads_are_hits_and_a_wrong_write_is_undone(
    server: McpServer, journal: str, transport: str
) -> None:
    script = thinking(READ, TOWER, calls=[READ, GARDEN])
    async with tools_of(server, transport) as tools:
        played = await play(tools, script, journal, early=2)
    assert played.outcomes["hit"] == 1
    assert played.outcomes["compensated"] == 1
    assert server.bookings() == [("garden", "Ann")]
    assert len(server.calls("read_room")) == 1
    assert [args["room"] for _, args in server.calls("cancel_room")] == ["tower"]
    wrong, right = sorted(played.rows.effects, key=lambda row: row.seq)
    assert (wrong.stage, right.stage) == (Stage.COMPENSATED, Stage.COMMITTED)
    assert right.args == {"room": "garden", "guest": "Ann"}


@pytest.mark.parametrize("transport", ["http", "stdio session"])
async def test_an_early_write_is_adopted_and_made_once(
    server: McpServer, journal: str, transport: str
) -> None:
    script = thinking(TOWER, calls=[TOWER])
    async with tools_of(server, transport) as tools:
        played = await play(tools, script, journal)
    assert played.outcomes["hit"] == 1
    assert server.bookings() == [("tower", "Ann")]
    assert len(server.calls("book_room")) == 1
    assert played.tool_messages[0].artifact["structured_content"]["booking_id"] == "tower-Ann"
    (row,) = played.rows.effects
    assert (row.stage, row.replayable) == (Stage.COMMITTED, True)


async def test_messages_are_as_without_specflow(server: McpServer, journal: str) -> None:
    """Structure, text that is JSON, pictures and errors of the server, hits all of them or refused early."""
    room = {"room": "tower"}
    names = ["read_room", "describe_room", "photograph", "fail", "search_rooms"]
    calls = [(name, {"city": "Rome"} if name == "search_rooms" else room) for name in names]
    async with tools_of(server, "http") as tools:
        plain = await plainly(tools, thinking(*calls, calls=calls))
        server.forget()
        played = await play(tools, thinking(*calls, calls=calls), journal, early=3)
    assert without_ids(played.messages) == without_ids(plain)
    by_name = {message.name: message for message in played.tool_messages}
    assert by_name["fail"].status == "error"
    assert by_name["photograph"].content[1]["mime_type"] == "image/png"
    assert played.outcomes["hit"] >= 3
    assert {name: len(server.calls(name)) for name in names if name != "fail"} == dict.fromkeys(
        set(names) - {"fail"}, 1
    )


async def test_the_journal_holds_nothing_of_the_run(server: McpServer, journal: str) -> None:
    """The adapter is handed the run's state and configuration beside the arguments; nobody else is."""
    config = {"configurable": {"thread_id": "t1", "api_token": "s3cret"}}
    async with tools_of(server, "http") as tools:
        played = await play(tools, thinking(calls=[TOWER]), journal, early=0, config=config)
    (row,) = played.rows.effects
    assert row.args == TOWER[1]
    assert "s3cret" not in repr(played.rows)


async def test_a_call_under_way_is_cancelled_and_its_session_goes_on(server: McpServer, journal: str) -> None:
    slow = ("look_slowly", {"room": "attic"})
    async with tools_of(server, "http session") as tools:
        with server.held():
            played = await play(
                tools,
                thinking(slow, calls=[READ]),
                journal,
                early=0,
                until=lambda: bool(server.calls("look_slowly")),
            )
        assert played.outcomes["cancelled"] == 1
        assert len(server.calls("look_slowly")) == 1
        by_name = {tool.name: tool for tool in tools}
        answer = await by_name["read_room"].ainvoke({"room": "attic"})
    assert "attic" in str(answer)


async def test_a_call_under_way_is_promoted(server: McpServer, journal: str) -> None:
    slow = ("look_slowly", {"room": "attic"})
    with server.held():
        async with tools_of(server, "http") as tools:
            running = asyncio.create_task(
                play(
                    tools,
                    thinking(slow, calls=[slow]),
                    journal,
                    early=0,
                    until=lambda: bool(server.calls("look_slowly")),
                )
            )
            while not server.calls("look_slowly"):
                await asyncio.sleep(0.01)
            Path(f"{server.world}.hold").unlink()
            played = await running
    assert played.outcomes["hit"] + played.outcomes["late"] == 1
    assert len(server.calls("look_slowly")) == 1


async def test_a_server_that_dies_in_a_booking_and_comes_back(tmp_path: Path, journal: str) -> None:
    """Nobody guesses what became of the booking: it is asked after, found, and undone."""
    with McpServer(world=tmp_path / "world.db") as server:
        async with tools_of(server, "http") as tools:
            server.die_in_the_next_booking()
            back = asyncio.get_running_loop().run_in_executor(None, lambda: (server.ended(), server.start()))
            played = await play(
                tools,
                thinking(TOWER, calls=[READ]),
                journal,
                until=back.done,
            )
            await back
        assert played.outcomes["compensated"] == 1
        assert server.bookings() == []
        assert len(server.calls("book_room")) == 1
        assert server.calls("find_booking")
        (row,) = played.rows.effects
        assert row.stage is Stage.COMPENSATED


async def test_an_interceptor_that_may_look_at_the_run_keeps_a_tool_from_running_early(
    server: McpServer, journal: str
) -> None:
    seen: list[Any] = []

    async def as_the_user(request: Any, handler: Any) -> Any:
        seen.append(request.runtime.context if request.runtime is not None else None)
        return await handler(request.override(args={**request.args, "room": "attic"}))

    async with tools_of(server, "http", tool_interceptors=[as_the_user]) as tools:
        played = await play(tools, thinking(READ, calls=[READ]), journal, early=0)
    assert not played.log.of(EventKind.RUN_STARTED)
    assert len(seen) == 1
    assert [args for _, args in server.calls("read_room")] == [{"room": "attic"}]
    async with sf.Runtime(POLICY, tools=tools, journal=journal) as rt:
        spec = rt.registry.require("mcp:desk/read_room")
        verdict = rt.policy.judge(spec, spec.call({"room": "tower"}), context={})
    assert "injected" in {reason.code for reason in verdict.reasons}


async def test_an_independent_interceptor_works_early_and_late(server: McpServer, journal: str) -> None:
    seen: list[bool] = []

    @independent
    async def in_the_attic(request: Any, handler: Any) -> Any:
        seen.append(request.runtime is None)
        return await handler(request.override(args={**request.args, "room": "attic"}))

    other = ("read_room", {"room": "garden"})
    by_thoughts = POLICY.replace('read_room": {', 'read_room": {predictors: [sniffer], ')
    async with tools_of(server, "http", tool_interceptors=[in_the_attic]) as tools:
        played = await play(tools, thinking(READ, calls=[READ, other]), journal, policy=by_thoughts)
    assert played.outcomes["hit"] == 1
    assert seen == [True, False]
    assert [args["room"] for _, args in server.calls("read_room")] == ["attic", "attic"]


async def test_an_approval_is_to_a_call_of_an_mcp_tool(server: McpServer, journal: str) -> None:
    """Asked once, for the arguments of the model, and run once with them."""
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    policy = 'version: 1\ntools: {"mcp:desk/send_letter": {effect: confirmation_required, confirm: ask}}\n'
    script = thinking(calls=[("send_letter", {"guest": "Ann"})])
    thread = {"configurable": {"thread_id": "t"}}
    tools = await MultiServerMCPClient({"desk": server.over_http}).get_tools()  # type: ignore[dict-item]
    async with sf.Runtime(policy, tools=tools, journal=journal) as rt:
        agent = create_agent(
            Pondering(script=script), tools, middleware=[rt.middleware()], checkpointer=InMemorySaver()
        )
        paused = await agent.ainvoke({"messages": [{"role": "user", "content": "go on"}]}, thread)
        (question,) = paused["__interrupt__"]
        assert question.value["args"] == {"guest": "Ann"}
        assert server.calls("send_letter") == []
        done = await agent.ainvoke(Command(resume={"type": "approve"}), thread)
    assert server.calls("send_letter") == [("send_letter", {"guest": "Ann"})]
    assert "a letter to Ann" in str(done["messages"][-2].content)


async def test_tools_that_are_listed_again_are_the_same_tools(server: McpServer, journal: str) -> None:
    """Many programs list a server's tools for every request; other credentials are another tool."""
    plain, signed = server.over_http, {**server.over_http, "headers": {"Authorization": "Bearer b"}}
    first, again, other = [
        await MultiServerMCPClient({"desk": connection}).get_tools()  # type: ignore[dict-item]
        for connection in (plain, plain, signed)
    ]
    async with sf.Runtime(POLICY, tools=first, journal=journal) as rt:
        assert all(rt.host.knows(tool) for tool in again if tool.name != "fickle")
        assert not any(map(rt.host.knows, other))


def test_synchronous_runs_end_as_without_specflow(server: McpServer, journal: str) -> None:
    """The adapter's tools are asynchronous only, and LangChain says so; specflow does not hide it."""

    script = thinking(calls=[READ])
    tools = asyncio.run(MultiServerMCPClient({"desk": server.over_http}).get_tools())  # type: ignore[dict-item]
    with sf.Runtime(POLICY, tools=tools, journal=journal) as rt:
        for middleware in ([], [rt.middleware()]):
            agent = create_agent(Pondering(script=script), tools, middleware=middleware)
            with pytest.raises(NotImplementedError):
                agent.invoke({"messages": [{"role": "user", "content": "go on"}]})
