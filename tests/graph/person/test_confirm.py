"""Paused runs answered at a real terminal, or by a function; sync and async."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt
from pydantic import BaseModel, field_validator

import specflow as sf
from specflow.errors import ConfigurationError
from specflow.graph.person.question import Question
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply

POLICY = """
version: 1
tools:
  pay: {effect: confirmation_required, confirm: ask, redact: [args.card]}
"""
CONFIG = {"configurable": {"thread_id": "t"}}


class Choice(BaseModel):
    flight: str

    @field_validator("flight")
    @classmethod
    def _known(cls, value: str) -> str:
        if value == "SF-0":
            raise ValueError("there is no such flight")
        return value


class Shop:
    """A workflow that asks which flight and pays for it, twice if told so."""

    def __init__(self, folder: Path, *, payments: int = 1, human: bool = True) -> None:
        self.paid: list[tuple[float, str]] = []
        policy = folder / "policy.yaml"
        policy.write_text(POLICY)

        def pay(amount: float, card: str) -> str:
            """Pay."""
            self.paid.append((amount, card))
            return "paid"

        flow = sf.Workflow("shop", policy=policy)
        for number in range(payments):
            flow.call(f"pay{number}", pay, amount=number + 1, card="4111-secret")
        if human:
            flow.human("choose", "Which one?", show={"flights": ["SF-7", "SF-9"]}, output=Choice)
        self.app = flow.compile(
            journal=f"sqlite:///{folder / 'journal.db'}",
            checkpointer=InMemorySaver(),
            telemetry=False,
            durability="process",
        )


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[Any]:
    made: list[Shop] = []

    def make(**options: Any) -> Shop:
        made.append(Shop(tmp_path, **options))
        return made[-1]

    yield make
    for shop in made:
        shop.app.specflow.close()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Standard input is a terminal at which these lines have been typed."""
    master, slave = os.openpty()
    with os.fdopen(slave, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)

        def type_lines(*lines: str) -> None:
            os.write(master, "".join(f"{line}\n" for line in lines).encode())

        yield type_lines
    os.close(master)


def go(app: Any, colour: str, **options: Any) -> Any:
    """Run until somebody is asked, and confirm."""
    if colour == "sync":
        return sf.confirm(app, app.invoke({}, CONFIG), CONFIG, **options)

    async def main() -> Any:
        return await sf.aconfirm(app, await app.ainvoke({}, CONFIG), CONFIG, **options)

    return asyncio.run(main())


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_person_answers_at_the_terminal(
    shops: Any, terminal: Any, colour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = shops(human=False)
    terminal("maybe", 'e {"amount": "much"}', "e", '{"amount": 5}')
    out = go(shop.app, colour)
    assert out["steps"]["pay0"]["value"] == "paid"
    assert shop.paid == [(5, "4111-secret")]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert '"card": "[redacted]"' in shown.err
    assert "4111-secret" not in shown.err
    assert "amount: does not fit type: number" in shown.err


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_an_answer_that_only_the_graph_refuses_is_asked_for_again_and_no_other(
    shops: Any, terminal: Any, colour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = shops(payments=2)
    answers = {"pay": ["y", "y"], "choose": ['{"flight": "SF-0"}', '{"flight": "SF-9"}']}
    shop.app.invoke({}, CONFIG)
    first = [asked.value for asked in shop.app.get_state(CONFIG).interrupts]
    order = [str(value.get("name") or value["step"]) for value in first]
    terminal(*[answers[name].pop(0) for name in order], answers["choose"].pop(0))
    out = (
        asyncio.run(sf.aconfirm(shop.app, None, CONFIG))
        if colour == "async"
        else sf.confirm(shop.app, None, CONFIG)
    )
    assert out["steps"]["choose"]["value"] == {"flight": "SF-9"}
    assert sorted(shop.paid) == [(1, "4111-secret"), (2, "4111-secret")]
    assert "there is no such flight" in capsys.readouterr().err


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_function_may_be_asked_instead(shops: Any, colour: str) -> None:
    shop = shops(payments=3)
    asked: list[Question] = []

    def answer(question: Question) -> Any:
        asked.append(question)
        if not question.tool:
            return {"flight": "SF-7"}
        return question.edit({"amount": 9}) if question.args["amount"] == 2 else {"type": "approve"}

    async def aanswer(question: Question) -> Any:
        await asyncio.sleep(0)
        return answer(question)

    out = go(shop.app, colour, ask=answer if colour == "sync" else aanswer)
    assert len(asked) == 4
    assert {question.args["card"] for question in asked if question.tool} == {"[redacted]"}
    assert sorted(shop.paid) == [(1, "4111-secret"), (3, "4111-secret"), (9, "4111-secret")]
    assert out["steps"]["choose"]["value"] == {"flight": "SF-7"}


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_function_that_answers_wrongly_is_told(shops: Any, colour: str) -> None:
    shop = shops(human=False)
    with pytest.raises(ConfigurationError, match="does not fit: the decision must be one of"):
        go(shop.app, colour, ask=lambda _question: {"type": "yes"})
    assert shop.paid == []
    assert len(shop.app.get_state(CONFIG).interrupts) == 1
    other = shops(payments=0)
    with pytest.raises(ConfigurationError, match="no such flight"):
        go(other.app, colour, ask=lambda _question: {"flight": "SF-0"})


def test_without_a_terminal_nothing_is_decided(shops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = shops(human=False)
    result = shop.app.invoke({}, CONFIG)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(ConfigurationError, match="no terminal to ask at; the run stays paused"):
        sf.confirm(shop.app, result, CONFIG)
    assert shop.paid == []
    assert len(shop.app.get_state(CONFIG).interrupts) == 1


def test_at_the_end_of_input_the_run_stays_paused(shops: Any, terminal: Any) -> None:
    shop = shops(human=False)
    terminal("what\n\x04")
    with pytest.raises(ConfigurationError, match="input has ended"):
        go(shop.app, "sync")
    assert shop.paid == []


def test_what_cannot_be_confirmed_is_said(shops: Any) -> None:
    shop = shops(human=False)
    with pytest.raises(ConfigurationError, match="no compiled graph"):
        sf.confirm(shop, {}, CONFIG)
    with pytest.raises(ConfigurationError, match="which run is paused"):
        sf.confirm(shop.app, {})

    async def ask(_question: Question) -> Any:
        return {"type": "approve"}

    with pytest.raises(ConfigurationError, match="use aconfirm"):
        sf.confirm(shop.app, {}, CONFIG, ask=ask)


def test_a_run_that_asks_nothing_is_given_back(shops: Any) -> None:
    shop = shops(payments=0, human=False)
    result = shop.app.invoke({}, CONFIG)
    assert sf.confirm(shop.app, result, CONFIG) is result
    assert sf.confirm(shop.app, None, CONFIG)["steps"] == result["steps"]


def test_calls_that_langchain_asks_about_together(terminal: Any) -> None:
    sent: list[str] = []

    def mail(to: str) -> str:
        """Send a mail."""
        sent.append(to)
        return "sent"

    calls = (CallPlan(name="mail", args={"to": "ada"}), CallPlan(name="mail", args={"to": "bob"}))
    agent = create_agent(
        ScriptedChatModel(script=[Reply(calls=calls), Reply(text="done")], speed=None),
        [mail],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"mail": True})],
        checkpointer=InMemorySaver(),
    )
    terminal("y", "n not him")
    out = sf.confirm(agent, agent.invoke({"messages": [("user", "mail")]}, CONFIG), CONFIG)
    assert sent == ["ada"]
    assert out["messages"][-1].text == "done"
    assert any("not him" in str(message.content) for message in out["messages"])


def test_any_interrupt_of_any_graph(terminal: Any) -> None:
    def node(_state: Any) -> dict[str, str]:
        return {"name": interrupt("Your name?") + interrupt("And the other one?")}

    graph: Any = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    app = graph.compile(checkpointer=InMemorySaver())
    terminal("Ada ", "Lovelace")
    assert sf.confirm(app, app.invoke({}, CONFIG), CONFIG) == {"name": "AdaLovelace"}


def test_a_tool_node_of_your_own_hides_the_same(terminal: Any, capsys: Any, tmp_path: Path) -> None:
    paid: list[str] = []

    def pay(amount: float, card: str) -> str:
        """Pay."""
        paid.append(card)
        return "paid"

    (tmp_path / "policy.yaml").write_text(POLICY)
    call = {"name": "pay", "args": {"amount": 1, "card": "4111-secret"}, "id": "c", "type": "tool_call"}
    with sf.Runtime(
        tmp_path / "policy.yaml", tools=[pay], journal=f"sqlite:///{tmp_path / 'journal.db'}", telemetry=False
    ) as rt:
        graph: Any = StateGraph(MessagesState)
        graph.add_node("tools", ToolNode([pay], wrap_tool_call=rt.wrap_tool_call))
        graph.add_edge(START, "tools")
        app = graph.compile(checkpointer=InMemorySaver())
        terminal("y")
        sf.confirm(app, app.invoke({"messages": [AIMessage("", tool_calls=[call])]}, CONFIG), CONFIG)
    assert paid == ["4111-secret"]
    assert "4111-secret" not in capsys.readouterr().err


PROGRAM = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
import asyncio, pathlib
import specflow as sf
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

CONFIG = {"configurable": {"thread_id": "t"}}

def pay(amount: float, card: str) -> str:
    "Pay."
    return "paid"

flow = sf.Workflow("shop", policy="policy.yaml")
flow.call("pay", pay, amount=3, card="4111")

async def main():
    async with AsyncSqliteSaver.from_conn_string("state.db") as saver:
        app = flow.compile(journal="sqlite:///journal.db", checkpointer=saver, telemetry=False)
        try:
            await sf.aconfirm(app, await app.ainvoke({}, CONFIG), CONFIG)
        finally:
            await app.specflow.aclose()

if sys.argv[1] == "async":
    asyncio.run(main())
else:
    with SqliteSaver.from_conn_string("state.db") as saver:
        with_app = flow.compile(journal="sqlite:///journal.db", checkpointer=saver, telemetry=False)
        with with_app.specflow:
            sf.confirm(with_app, with_app.invoke({}, CONFIG), CONFIG)
"""


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_ctrl_c_leaves_the_run_paused_for_another_process(
    tmp_path: Path, terminal: Any, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    master, slave = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), colour],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=tmp_path,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(sf.__file__).parents[1])},
    )
    os.close(slave)
    seen = b""
    while b"answer it yourself]" not in seen:
        seen += os.read(master, 4096)
    os.write(master, b"\x03")
    assert child.wait(60) in {130, 1, -signal.SIGINT}
    os.close(master)
    paid: list[float] = []

    def pay(amount: float, card: str) -> str:
        """Pay."""
        paid.append(amount)
        return "paid"

    flow = sf.Workflow("shop", policy=tmp_path / "policy.yaml")
    flow.call("pay", pay, amount=3, card="4111")
    with SqliteSaver.from_conn_string(str(tmp_path / "state.db")) as saver:
        app = flow.compile(
            journal=f"sqlite:///{tmp_path / 'journal.db'}", checkpointer=saver, telemetry=False
        )
        terminal("y")
        with app.specflow:
            out = sf.confirm(app, None, CONFIG)
    assert paid == [3]
    assert out["steps"]["pay"]["value"] == "paid"
