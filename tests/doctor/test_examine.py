"""What the doctor says of graphs, tools, policies and journals that really are so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from opentelemetry.sdk.trace import TracerProvider

import specflow as sf
from specflow.doctor import environment
from specflow.doctor.environment import versions
from specflow.doctor.examine import examine
from specflow.errors import ConfigurationError
from specflow.graph.remark import Level, Remark
from specflow.journal.database import Database
from specflow.journal.owner import owner_id
from specflow.journal.sql import SqlJournal
from specflow.lifecycle import Stage
from specflow.prediction.last_values import LastValue
from specflow.telemetry.provided import Provided
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.journal_bench import Bench, to_stage
from specflow.testing.postgres import PostgresServer, postgres

__all__ = ["postgres"]

POLICY = """
version: 1
tools:
  weather: {effect: read_only}
  book: {effect: compensatable, compensate: {tool: cancel, with: {booking_id: result.id}}}
  cancel: {effect: confirmation_required, confirm: host, compensator_for: [book]}
  pay: {effect: confirmation_required, confirm: ask}
  mine: {effect: read_only}
  guess: {effect: read_only, status: proposed}
  wipe: {effect: deny}
"""


def weather(city: str) -> str:
    """The weather."""
    return city


def book(city: str) -> dict[str, str]:
    """Book."""
    return {"id": city}


def cancel(booking_id: str) -> str:
    """Cancel."""
    return booking_id


def pay(amount: float) -> str:
    """Pay."""
    return "paid"


def mine(config: RunnableConfig) -> str:
    """Something of mine."""
    return "mine"


def guess(text: str) -> str:
    """Guess."""
    return text


def wipe() -> str:
    """Wipe."""
    return ""


def unknown(text: str) -> str:
    """Nobody has classed this one."""
    return text


ALL = [weather, book, cancel, pay, mine, guess, wipe]
Make = Callable[..., sf.Runtime]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[sf.Runtime] = []

    def runtime(tools: Sequence[Any] = ALL, policy: str = POLICY, **options: Any) -> sf.Runtime:
        file = tmp_path / f"policy{len(made)}.yaml"
        file.write_text(policy)
        journal = f"sqlite:///{tmp_path / 'journal.db'}"
        made.append(sf.Runtime(file, tools=tools, **{"journal": journal, "telemetry": False, **options}))
        return made[-1]

    yield runtime
    for rt in made:
        rt.close()


def model() -> BaseChatModel:
    return ScriptedChatModel(script=[])


def of(remarks: Sequence[Remark], area: str, subject: str = "") -> list[Remark]:
    return [one for one in remarks if one.area == area and (not subject or one.subject == subject)]


def one(remarks: Sequence[Remark], area: str, subject: str) -> Remark:
    (found,) = of(remarks, area, subject)
    return found


# ------------------------------------------------------------------ tools


@pytest.mark.parametrize(
    ("name", "level", "found", "mend"),
    [
        (
            "weather",
            "ok",
            "early from confidence 0.6; not with arguments out of a tool",
            "destinations",
        ),
        ("book", "ok", "compensatable, prepared, and held", "speculate: now"),
        ("cancel", "ok", "confirmation_required, held: runs when the real run calls it", ""),
        ("pay", "ok", "confirmation_required, held: a person is asked first", ""),
        ("mine", "warning", "it takes state of the real run (config)", "ordinary arguments"),
        ("guess", "warning", "nobody has reviewed it", "reviewed: "),
        ("wipe", "ok", "deny, refused", ""),
        ("unknown", "warning", "nothing says what 'unknown' may do", "{unknown: {effect: read_only}}"),
    ],
)
def test_each_tool_with_its_reason(make: Make, name: str, level: str, found: str, mend: str) -> None:
    rt = make([*ALL, unknown])
    remark = one(examine(rt), "tool", name)
    assert remark.level == level, remark
    assert found in remark.found
    assert mend in remark.mend
    assert bool(remark.mend) == bool(mend)


@pytest.mark.parametrize(
    ("line", "found", "mend"),
    [
        (
            "{effect: read_only, rules: [{id: late, when: 'true', require: {speculate: hold}}]}",
            "requires hold",
            "late",
        ),
        ("{effect: compensatable, speculate: now, min_confidence: 0.9}", "held", "compensate: {tool:"),
        ("{effect: read_only, destinations: {host: [api.example.com]}}", "early from confidence", ""),
        ("{effect: read_only, speculate: hold}", "held (speculate: hold)", ""),
    ],
)
def test_other_reasons(make: Make, line: str, found: str, mend: str) -> None:
    rt = make([weather], f"version: 1\ntools:\n  weather: {line}\n")
    remark = one(examine(rt), "tool", "weather")
    assert found in remark.found
    assert mend in remark.mend
    assert bool(remark.mend) == bool(mend)


def test_a_tool_that_the_runtime_knows_otherwise(make: Make) -> None:
    rt = make([weather])

    @tool("weather")
    def other(city: str) -> str:
        """Other weather."""
        return city

    agent = create_agent(model(), [other, tool(unknown)], middleware=[rt.middleware()])
    said = " | ".join(remark.found for remark in of(examine(agent), "tool"))
    assert "knows another tool of this name" in said
    assert "does not know it before its first real call" in said


def test_a_policy_of_another_file_counts_instead(make: Make, tmp_path: Path) -> None:
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text("version: 1\ntools:\n  weather: {effect: deny}\n")
    remarks = examine(make([weather]), policy=[stricter])
    assert "refused" in one(remarks, "tool", "weather").found
    plain = create_agent(model(), [weather])
    assert "refused" in one(examine(plain, policy=[stricter]), "tool", "weather").found


# ------------------------------------------------------------------ models


class Whole(BaseChatModel):
    """Cannot stream."""

    @property
    def _llm_type(self) -> str:
        return "whole"

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("x"))])


class AsyncOnly(Whole):
    async def _astream(self, *args: Any, **kwargs: Any) -> Any:
        for _ in ():
            yield


OPENAI: dict[str, Any] = {"model": "m", "api_key": "x"}
COMPATIBLE = {**OPENAI, "base_url": "http://localhost:1/v1"}


@pytest.mark.parametrize(
    ("chat", "level", "found"),
    [
        (lambda: ScriptedChatModel(script=[]), "ok", "streams"),
        (lambda: ScriptedChatModel(script=[]).bind(temperature=1), "ok", "streams"),
        (Whole, "problem", "cannot stream"),
        (AsyncOnly, "warning", "asynchronous runs only"),
        (lambda: ScriptedChatModel(script=[], disable_streaming=True), "problem", "disable_streaming=True"),
        (lambda: ScriptedChatModel(script=[], disable_streaming="tool_calling"), "problem", "tool_calling"),
        (lambda: ChatOpenAI(**OPENAI, streaming=False), "problem", "streaming=False"),
        (lambda: ChatOpenAI(**OPENAI), "ok", "streams"),
        (lambda: ChatOpenAI(**OPENAI, stream_usage=False), "warning", "without token counts"),
        (lambda: ChatOpenAI(**COMPATIBLE, stream_usage=True), "warning", "drops the reasoning"),
        (
            lambda: ChatOpenAI(**COMPATIBLE, model_kwargs={"stream_options": {"include_usage": True}}),
            "warning",
            "drops the reasoning",
        ),
        (lambda: sf.ReasoningChatOpenAI(**COMPATIBLE), "ok", "streams"),
        (lambda: FakeListChatModel(responses=["x"]), "ok", "streams"),
    ],
)
@pytest.mark.parametrize("form", ["create_agent", "StateGraph"])
def test_whether_a_model_can_be_listened_to(
    make: Make, chat: Callable[[], Any], level: str, found: str, form: str
) -> None:
    rt, used = make(), chat()
    if form == "create_agent" and isinstance(used, BaseChatModel):
        app: Any = create_agent(used, [weather], middleware=[rt.middleware()])
    else:

        def call_model(state: MessagesState) -> dict[str, Any]:
            return {"messages": [used.invoke(state["messages"])]}

        graph = StateGraph(MessagesState)
        graph.add_node("model", rt.model_node(call_model))
        graph.add_edge(START, "model")
        app = graph.compile()
    (remark,) = of(examine(app), "model")
    assert remark.level == level
    assert found in remark.found


def test_models_that_are_not_there_yet(make: Make) -> None:
    rt = make()
    chosen = init_chat_model(configurable_fields=("model", "model_provider"))

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [chosen.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", rt.model_node(call_model))
    graph.add_edge(START, "model")
    assert "chosen by the config" in one(examine(graph.compile()), "model", "model").found
    empty = StateGraph(MessagesState)
    empty.add_node("model", rt.model_node(lambda state: {}))
    empty.add_edge(START, "model")
    assert "none was found" in one(examine(empty.compile()), "model", "none").found


# ------------------------------------------------------------------ graphs


def hand_built(call_model: Any, tools: Any, edge: Any = None) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("model", call_model)
    graph.add_node("tools", tools)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", edge or tools_condition, ["tools", END])
    graph.add_edge("tools", "model")
    return graph.compile()


def call(state: MessagesState) -> dict[str, Any]:
    return {"messages": [MODEL.invoke(state["messages"])]}


MODEL = ScriptedChatModel(script=[])


def test_a_graph_without_a_runtime(make: Make) -> None:
    remark = one(examine(create_agent(model(), [weather])), "graph", "runtime")
    assert remark.level is Level.PROBLEM
    assert "rt.middleware()" in remark.mend


def test_a_hand_built_graph_that_is_well_made(make: Make) -> None:
    rt = make([weather], "version: 1\ntools:\n  weather: {effect: read_only}\n")
    remarks = examine(hand_built(rt.model_node(call), rt.tool_node([weather]), rt.fan_out))
    assert [remark for remark in remarks if remark.level is not Level.OK] == []
    assert of(remarks, "model", "ScriptedChatModel(scripted)")
    own = ToolNode([weather], wrap_tool_call=rt.wrap_tool_call, awrap_tool_call=rt.awrap_tool_call)
    remarks = examine(hand_built(rt.model_node(call), own, rt.fan_out))
    assert [remark for remark in remarks if remark.level is not Level.OK] == []


def test_what_a_hand_built_graph_may_lack(make: Make) -> None:
    rt = make()
    past = examine(hand_built(rt.model_node(call), ToolNode([weather]), rt.fan_out))
    assert any("past the runtime" in remark.found for remark in of(past, "graph", "tools"))
    deaf = examine(hand_built(call, rt.tool_node([weather]), rt.fan_out))
    assert one(deaf, "graph", "model node").level is Level.PROBLEM
    together = examine(hand_built(rt.model_node(call), rt.tool_node([weather])))
    assert "one task" in one(together, "graph", "tools").found
    graph = StateGraph(MessagesState)
    graph.add_node("model", rt.model_node(call))
    graph.add_node("tools", rt.tool_node([weather]))
    graph.add_edge(START, "model")
    graph.add_edge("model", "tools")
    assert "rt.fan_out" in one(examine(graph.compile()), "graph", "tools").mend


def test_agents_within_are_seen(make: Make) -> None:
    rt, other = make(), make()
    inner = create_agent(Whole(), [weather], middleware=[other.middleware()])

    def ask_agent(question: str) -> str:
        """Ask another agent."""
        return str(inner.invoke({"messages": [("user", question)]}))

    outer = create_agent(model(), [ask_agent], middleware=[rt.middleware()])
    remarks = examine(outer)
    assert one(remarks, "model", "Whole").level is Level.PROBLEM
    assert "2 runtimes" in one(remarks, "graph", "runtime").found
    graph = StateGraph(MessagesState)
    graph.add_node("inner", inner)
    graph.add_edge(START, "inner")
    assert one(examine(graph.compile()), "model", "Whole").level is Level.PROBLEM


def test_who_asks_needs_a_checkpointer(make: Make) -> None:
    rt = make()
    middleware = [rt.middleware()]
    assert (
        one(examine(create_agent(model(), [pay], middleware=middleware)), "graph", "checkpointer").level
        == "problem"
    )
    watched = create_agent(model(), [pay], middleware=[make(mode="shadow").middleware()])
    assert of(examine(watched), "graph", "checkpointer") == []
    kept = create_agent(model(), [pay], middleware=middleware, checkpointer=InMemorySaver())
    assert one(examine(kept), "graph", "checkpointer").level is Level.OK
    assert of(examine(create_agent(model(), [weather], middleware=middleware)), "graph", "checkpointer") == []
    human = HumanInTheLoopMiddleware(interrupt_on={"weather": True})
    asking = create_agent(model(), [weather], middleware=[*middleware, human])
    assert "HumanInTheLoopMiddleware" in one(examine(asking), "graph", "checkpointer").found


def test_forks(make: Make) -> None:
    rt = make(result_guessers=[LastValue()])
    agent = create_agent(model(), [weather], middleware=[rt.middleware()])
    assert one(examine(agent), "graph", "forks").mend == "rt.attach(graph)"
    rt.attach(agent)
    assert "is attached" in one(examine(agent), "graph", "forks").found
    plain = create_agent(model(), [weather], middleware=[make().middleware()])
    assert one(examine(plain), "graph", "forks").level is Level.OK


def test_a_workflow(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    flow = sf.Workflow("trip", policy=file, tools=[cancel])
    sky = flow.call("sky", weather, city="Rome")
    flow.agent("choose", model=Whole(), tools=[book], given=[sky])
    flow.human("sure", "Sure?")
    inner = sf.Workflow("inner", policy=file)
    inner.call("paid", pay, amount=3)
    flow.flow("rest", inner)
    remarks = examine(flow)
    assert one(remarks, "model", "Whole").level is Level.PROBLEM
    assert {remark.subject for remark in of(remarks, "tool")} == {"weather", "book", "cancel", "pay"}
    assert of(remarks, "graph", "checkpointer") == []
    app = flow.compile(
        journal=f"sqlite:///{tmp_path / 'j.db'}", checkpointer=InMemorySaver(), telemetry=False
    )
    with app.specflow:
        again = examine(app)
        assert "step sure" in one(again, "graph", "checkpointer").found
        assert one(again, "model", "Whole").level is Level.PROBLEM
    broken = sf.Workflow("broken", policy=file)
    broken.call("sky", weather, town="Rome")
    assert {remark.level for remark in of(examine(broken), "workflow", "sky")} == {Level.PROBLEM}
    with pytest.raises(ConfigurationError, match="has no policy"):
        examine(sf.Workflow("none"))


# ------------------------------------------------------------------ runtime, policy


def test_modes_and_predictors(make: Make) -> None:
    assert one(examine(make(mode="on")), "runtime", "mode").level is Level.OK
    assert "10%" in one(examine(make(mode="canary:10%")), "runtime", "mode").found
    for mode in ("off", "shadow"):
        assert one(examine(make(mode=mode)), "runtime", "mode").level is Level.WARNING
    assert one(examine(make(predictors=[])), "runtime", "predictors").level is Level.WARNING
    assert "sniffer" in one(examine(make()), "runtime", "predictors").found


def test_the_policy_is_read_again(make: Make, tmp_path: Path) -> None:
    rt = make([weather, unknown], "version: 1\ntools:\n  weather: {effect: read_only}\n")
    (file,) = rt.policy.files  # type: ignore[attr-defined]  # a loaded policy
    remarks = examine(rt)
    assert one(remarks, "policy", file).found == f"hash {rt.policy.hash[:12]}"  # type: ignore[attr-defined]
    assert "SF401" in one(remarks, "policy", "lint").found
    Path(file).write_text("version: 1\ntools:\n  weather: {effect: deny}\n  unknown: {effect: deny}\n")
    assert "its files mean" in one(examine(rt), "policy", "hash").found
    Path(file).write_text("version: 1\ntools: 3\n")
    assert of(examine(rt), "policy")[0].level is Level.PROBLEM
    Path(file).unlink()
    assert one(examine(rt), "policy", "Policy").level is Level.OK
    entries = "".join(f"  book{number}: {{effect: compensatable}}\n" for number in range(9))
    many = tmp_path / "many.yaml"
    many.write_text(f"version: 1\ntools:\n{entries}")
    assert "9 findings in all" in of(examine(policy=[many]), "policy", "lint")[-1].found


# ------------------------------------------------------------------ journal


async def fill(url: str, owner: str) -> None:
    bench = Bench(journal=SqlJournal.open(url), tag="x")
    lease = await bench.lease(owner=owner)
    await to_stage(bench, lease, "effect", Stage.STUCK)
    await bench.journal.aclose()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_what_a_journal_holds(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'held.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database()
        (remark,) = of(examine(db=url), "journal")
        assert "specflow db upgrade" in remark.mend
        from specflow.journal.schema import upgrade

        upgrade(Database(url))
    asyncio.run(fill(url, "somebody"))
    remarks = examine(db=url)
    stuck = [remark for remark in of(remarks, "journal") if remark.level is Level.PROBLEM]
    assert ["--stuck" in remark.mend for remark in stuck] == [True]
    assert "1 open, 1 in all" in one(remarks, "journal", "sessions").found


def test_sessions_of_the_dead(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'held.db'}"
    host, pid, start, rest = owner_id().rsplit(":", 3)
    asyncio.run(fill(url, f"{host}:{pid}:{int(start) - 1}:{rest}"))
    remark = one(examine(db=url), "journal", "sessions")
    assert "1 of them left by processes that have died" in remark.found


def test_journals_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, and long enough to be seen as none" * 40)
    assert of(examine(db=f"sqlite:///{tmp_path / 'text.db'}"), "journal")[0].level is Level.PROBLEM
    empty = tmp_path / "empty.db"
    empty.touch()
    (remark,) = of(examine(db=f"sqlite:///{empty}"), "journal")
    assert remark.level is Level.OK
    assert "by itself" in remark.found
    newer = f"sqlite:///{tmp_path / 'newer.db'}"
    SqlJournal.open(newer).close()
    with Database(newer).engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sf_alembic_version SET version_num = '9999'")
    (remark,) = of(examine(db=newer), "journal")
    assert remark.mend == "upgrade specflow"
    assert "refused" in of(examine(db="postgresql://nobody@127.0.0.1:1/x"), "journal")[0].found.lower()


def test_durability_says_what_it_survives(make: Make) -> None:
    assert "not a power cut" in one(examine(make(durability="process")), "journal", "durability").found
    assert one(examine(make(durability="power")), "journal", "durability").mend == ""


# ------------------------------------------------------------------ environment


def test_versions_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [remark for remark in versions() if remark.level is not Level.OK] == []
    named = [
        "typer>=9000",
        "no-such-package>=1",
        "sqlglot<1; extra == 'suggest'",
        "not installed; extra == 'x'",
    ]
    named += ["no-such-extra; extra == 'x'", "no-such-system; sys_platform == 'plan9'", "rich"]
    monkeypatch.setattr(environment.metadata, "requires", lambda _name: named)
    monkeypatch.setattr(environment.platform, "python_version", lambda: "3.9.1")
    found = {remark.subject: remark for remark in versions()}
    assert found["Python 3.9.1"].level is Level.PROBLEM
    assert (found["typer"].level, found["no-such-package"].level) == (Level.PROBLEM, Level.PROBLEM)
    assert found["sqlglot"].level is Level.WARNING
    assert "1 installed" in found["packages"].found
    assert len(found) == 5
    monkeypatch.setattr(environment, "PACKAGE", "no-such-package")
    (remark,) = versions()
    assert remark.level is Level.WARNING


def test_telemetry_that_goes_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(**changed: Any) -> Remark:
        usual: dict[str, Any] = {
            "traces": "",
            "metrics": "",
            "endpoints": (),
            "exporter": True,
            "disabled": False,
        }
        monkeypatch.setattr(environment, "provided", lambda: Provided(**{**usual, **changed}))
        return environment.telemetry()

    assert seen(traces=TracerProvider.__name__).found == "spans go to TracerProvider, metrics to nobody"
    assert "metrics to MeterProvider" in seen(traces="TracerProvider", metrics="MeterProvider").found
    assert "specflow[otlp]" in seen(endpoints=("OTEL_EXPORTER_OTLP_ENDPOINT",), exporter=False).mend


async def test_a_running_loop_is_seen() -> None:
    assert any(remark.subject == "event loop" for remark in examine())
