"""An outside world in a file of its own, the tools that change it, and a process that is killed and resumed.

The functions at the end are a scenario of `specflow.testing.crash`: `work` is killed where the trial says,
`resume` is what the next process does, `check` looks at what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command

from specflow import Transaction
from specflow.clock import SystemClock
from specflow.errors import SpecflowError
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.probe import reach
from specflow.runtime import Runtime
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply

POLICY = """
version: 1
tools:
  keyed:
    effect: compensatable
    speculate: hold
    idempotency_key: request_id
    compensate: {tool: cancel, with: {seat: args.seat}}
  verifiable:
    effect: compensatable
    speculate: hold
    compensate: {tool: cancel, with: {seat: args.seat}}
    verify: {tool: find, with: {seat: args.seat}}
  tolerant:
    effect: compensatable
    speculate: hold
    compensate: {tool: cancel, with: {seat: args.seat}, tolerates_missing: true}
  bare: {effect: confirmation_required, confirm: host}
  asked: {effect: confirmation_required, confirm: ask}
  early:
    effect: compensatable
    speculate: now
    predictors: [partial_call]
    idempotency_key: request_id
    writes: ["seat:{args.seat}"]
    compensate: {tool: cancel, with: {seat: args.seat}, tolerates_missing: true}
  local:
    effect: compensatable
    speculate: hold
    transaction: db
    compensate: {tool: cancel_local, with: {seat: args.seat}}
  cancel_local: {effect: confirmation_required, confirm: host, transaction: db, compensator_for: [local]}
  find: {effect: read_only, speculate: hold}
  cancel:
    effect: confirmation_required
    confirm: host
    compensator_for: [keyed, verifiable, tolerant, early]
"""
KINDS = {"keyed": "once", "verifiable": "once", "local": "once", "tolerant": "stuck", "bare": "stuck"}
"""The kinds of tools, and what becomes of a call whose outcome was lost with its process.

A further kind is a tool of that name in `tools_of`, an entry of the policy, and one here.
"""

TABLE = "CREATE TABLE booking (seat TEXT, request_id TEXT, cancelled INTEGER DEFAULT 0)"
THREAD = "conversation"


class Service:
    """The other side: a database that no journal and no checkpoint knows of."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._files = (file, file.with_name("journal.db"))
        for one in self._files:
            with self._open(one) as database, contextlib.suppress(sqlite3.OperationalError):
                database.execute(TABLE)

    @contextlib.contextmanager
    def _open(self, file: Path | None = None) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(file or self._file, timeout=60, isolation_level=None)
        try:
            yield database
        finally:
            database.close()

    def book(self, seat: str, request_id: str = "") -> str:
        """Book a seat, as often as asked; of one request id only once."""
        reach("world.before")
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            known = database.execute("SELECT 1 FROM booking WHERE request_id = ?", (request_id,)).fetchone()
            if not request_id or known is None:
                database.execute("INSERT INTO booking (seat, request_id) VALUES (?, ?)", (seat, request_id))
            database.execute("COMMIT")
        reach("world.done")
        return f"booked {seat}"

    def cancel(self, seat: str) -> str:
        """Give back one booking of the seat."""
        with self._open() as database:
            database.execute(
                "UPDATE booking SET cancelled = 1 WHERE rowid = "
                "(SELECT max(rowid) FROM booking WHERE seat = ? AND NOT cancelled)",
                (seat,),
            )
        return f"cancelled {seat}"

    def made(self) -> list[str]:
        """Every booking that was ever made, in order."""
        return self._found("SELECT seat FROM booking ORDER BY rowid")

    def standing(self) -> list[str]:
        """Those that were not given back, sorted."""
        return sorted(self._found("SELECT seat FROM booking WHERE NOT cancelled"))

    def _found(self, query: str) -> list[str]:
        found: list[str] = []
        for one in self._files:
            with self._open(one) as database:
                found += [seat for (seat,) in database.execute(query)]
        return found


def tools_of(service: Service) -> list[Any]:
    """One tool of each kind, and what undoes and verifies them."""

    @tool
    def keyed(seat: str, request_id: str = "") -> str:
        """Book a seat; the service knows a request id again."""
        return service.book(seat, request_id)

    @tool
    def verifiable(seat: str) -> str:
        """Book a seat; the service can be asked whether it is booked."""
        return service.book(seat)

    @tool
    def tolerant(seat: str) -> str:
        """Book a seat; to cancel what was never booked does no harm."""
        return service.book(seat)

    @tool
    def bare(seat: str) -> str:
        """Book a seat, for ever."""
        return service.book(seat)

    @tool
    def asked(seat: str) -> str:
        """Book a seat, once somebody has said yes."""
        return service.book(seat)

    @tool
    async def early(seat: str, request_id: str = "") -> str:
        """Book a seat, also before the model has asked for it."""
        return service.book(seat, request_id)

    @tool
    def local(seat: str, db: Transaction = None) -> str:
        """Book a seat in the database in which the journal is."""
        reach("world.before")
        db.execute(sa.text("INSERT INTO booking (seat, request_id) VALUES (:seat, '')"), {"seat": seat})
        reach("world.done")
        return f"booked {seat}"

    @tool
    def cancel_local(seat: str, db: Transaction = None) -> str:
        """Cancel a booking there."""
        db.execute(sa.text("UPDATE booking SET cancelled = 1 WHERE seat = :seat"), {"seat": seat})
        return f"cancelled {seat}"

    @tool
    def find(seat: str) -> str | None:
        """Say whether the seat is booked."""
        return f"booked {seat}" if seat in service.standing() else None

    @tool
    def cancel(seat: str) -> str:
        """Cancel a booking."""
        return service.cancel(seat)

    return [keyed, verifiable, tolerant, bare, asked, early, local, cancel_local, find, cancel]


def booking(kind: str, plan: Sequence[Sequence[str]]) -> Any:
    """A script: each turn asks for the seats of one entry of the plan; then it says what it heard."""

    def script(messages: list[dict[str, Any]]) -> Reply:
        spoken = max(at for at, item in enumerate(messages) if item["role"] == "user")
        turn = sum(item["role"] == "assistant" for item in messages[spoken:])
        reach(f"model.{turn}")
        if turn < len(plan):
            return Reply(calls=tuple(CallPlan(kind, {"seat": seat}) for seat in plan[turn]))
        heard = [item["content"] for item in messages[spoken:] if item["role"] == "tool"]
        return Reply(text=", ".join(map(str, heard)))

    return script


def graph_of(form: str, rt: Runtime | None, model: Any, tools: list[Any], saver: Any) -> Any:
    """The same agent in either form, with or without specflow."""
    if form == "create_agent":
        return create_agent(model, tools, middleware=[rt.middleware()] if rt else [], checkpointer=saver)
    bound = model.bind_tools(tools)

    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", rt.model_node(node) if rt else node)
    builder.add_node("tools", rt.tool_node(tools) if rt else ToolNode(tools))
    builder.add_edge(START, "model")
    if rt:
        builder.add_conditional_edges("model", rt.fan_out, ["tools", END])
    else:
        builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


class Later(SystemClock):
    """An hour later: what a dead process had sent is not travelling any more."""

    def wall(self) -> float:
        return super().wall() + 3600.0


def runtime(world: Path, tools: list[Any], **options: Any) -> Runtime:
    """On the journal of that world."""
    policy = world / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    journal = f"sqlite:///{world / 'journal.db'}"
    return Runtime(policy, tools=tools, journal=journal, **{"durability": "process", **options})


def config_of(run_key: str = "") -> dict[str, Any]:
    """Of the one conversation; with the user's own name for the run, if there is one."""
    named = {"specflow_run_key": run_key} if run_key else {}
    return {"configurable": {"thread_id": THREAD, **named}}


QUESTION = {"messages": [("user", "book")]}


def _to_say(state: Any, *, again: bool) -> Any:
    """What to invoke the graph with: the question; or, `again`, whatever makes it go on from its checkpoint.

    Where there is none to go on from, the user asks once more. `next` alone does not tell: it is empty, too,
    where the last step is done and saved, and only the checkpoint after it is missing.
    """
    if not again or not (state.next or state.values.get("messages")):
        return QUESTION
    if state.interrupts:
        return Command(resume={item.id: {"type": "approve"} for item in state.interrupts})
    return None


@contextlib.asynccontextmanager
async def _maybe(rt: Runtime | None) -> AsyncIterator[None]:
    if rt is None:
        yield
    else:
        async with rt:
            yield


@contextlib.contextmanager
def _saver(world: Path, url: str) -> Iterator[Any]:
    """LangGraph's saver on the PostgreSQL database of that URL, or on an SQLite file of the world."""
    if not url:
        with SqliteSaver.from_conn_string(str(world / "checkpoints.db")) as saver:
            yield saver
        return
    from langgraph.checkpoint.postgres import PostgresSaver

    with PostgresSaver.from_conn_string(url) as saver:
        saver.setup()
        yield saver


@contextlib.asynccontextmanager
async def _saver_async(world: Path, url: str) -> AsyncIterator[Any]:
    if not url:
        async with AsyncSqliteSaver.from_conn_string(str(world / "checkpoints.db")) as saver:
            yield saver
        return
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    async with AsyncPostgresSaver.from_conn_string(url) as saver:
        await saver.setup()
        yield saver


def _one_life(world: Path, args: dict[str, Any], *, again: bool) -> Any:
    """One process: a runtime, a graph, one invocation."""
    tools = tools_of(Service(world / "service.db"))
    options = {"clock": Later()} if again else {}
    model = ScriptedChatModel(script=booking(args["kind"], args["plan"]))
    config, durability = config_of(args["run_key"]), args["durability"]
    plain = args.get("plain", False)

    async def live() -> Any:
        async with _saver_async(world, args.get("checkpoints", "")) as saver:
            rt = None if plain else runtime(world, tools, **options)
            async with _maybe(rt):
                graph = graph_of(args["form"], rt, model, tools, saver)
                said = _to_say(await graph.aget_state(config), again=again)
                done = await graph.ainvoke(said, config, durability=durability)
                reach("answered")
                return done

    if args["asynchronous"]:
        return asyncio.run(live())
    with _saver(world, args.get("checkpoints", "")) as saver:
        rt = None if plain else runtime(world, tools, **options)
        with rt or contextlib.nullcontext():
            graph = graph_of(args["form"], rt, model, tools, saver)
            done = graph.invoke(_to_say(graph.get_state(config), again=again), config, durability=durability)
            reach("answered")
            return done


def warm(**args: Any) -> None:
    """Once before the processes are forked: what is imported and compiled here, they need not."""
    with tempfile.TemporaryDirectory() as place:
        _one_life(Path(place), {**args, "kind": "keyed", "durability": "sync"}, again=False)


def work(world: Path, **args: Any) -> None:
    """The process that is killed."""
    done = _one_life(world, args, again=False)
    if not args.get("plain"):
        _tell(world, next(item.text for item in reversed(done["messages"]) if isinstance(item, AIMessage)))


def resume(world: Path, **args: Any) -> None:
    """The next one. With `recovered`, an operator has been there."""
    if (world / "answer.json").exists():
        return  # the user has been told: nobody asks again
    if args.get("recovered"):
        asyncio.run(_recover(world))
    try:
        done = _one_life(world, args, again=True)
    except SpecflowError as error:
        _tell(world, f"stuck: {error}")
    else:
        _tell(world, next(item.text for item in reversed(done["messages"]) if isinstance(item, AIMessage)))


def _tell(world: Path, said: str) -> None:
    (world / "answer.json").write_text(json.dumps(said), encoding="utf-8")


async def _recover(world: Path) -> None:
    async with runtime(world, tools_of(Service(world / "service.db")), clock=Later()) as rt:
        await rt.recover()


def check(world: Path, **args: Any) -> None:
    """Nothing twice, nothing forgotten, nothing undone that the user was told of; the journal at rest."""
    service, said = Service(world / "service.db"), json.loads((world / "answer.json").read_text())
    plan = sorted(seat for turn in args["plan"] for seat in turn)
    found = {"made": service.made(), "standing": service.standing(), "said": said}
    if args.get("plain"):
        assert found["made"] == args["expect"], found
        return
    honest = args["expect"] == "honest"  # once, or stuck and never twice
    if args["expect"] == "once" or (honest and not said.startswith("stuck: ")):
        assert service.standing() == plan, found
        # What was begun early and lost was taken back before it was done again.
        assert sorted(service.made()) == sorted([*plan, *args.get("taken_back", [])]), found
        assert said == ", ".join(f"booked {seat}" for turn in args["plan"] for seat in turn), found
    else:
        assert said.startswith("stuck: "), found
        assert not Counter(service.made()) - Counter(plan), found
        assert honest or len(service.made()) == args["bookings"], found
    asyncio.run(_verify(world))


async def _verify(world: Path) -> None:
    journal = SqlJournal.open(f"sqlite:///{world / 'journal.db'}", durability="process")
    rows = await journal.snapshot()
    await journal.aclose()
    assert verify(rows) == (), verify(rows)
