"""What a person is shown besides the call: read early, shown once, and on record as it was shown."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

import specflow as sf
from specflow.graph.person.question import questions
from specflow.journal.verify import verify
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  pay:
    effect: confirmation_required
    redact: [args.card]
    show:
      - {tool: balance, with: {account: args.account}}
      - {tool: rating, with: {account: args.account}}
  balance: {effect: read_only, speculate: now, redact: [result.iban]}
  rating: {effect: read_only, speculate: never}
"""
ARGS = {"amount": 5.0, "account": "main", "card": "4111"}
CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Bank:
    """Reads that are counted, and a payment."""

    def __init__(self) -> None:
        self.left = 100
        self.read: list[str] = []
        self.paid: list[float] = []
        self.down = False

    def tools(self, *, asynchronous: bool) -> list[StructuredTool]:
        def pay(amount: float, account: str, card: str) -> str:
            """Pay from an account."""
            self.paid.append(amount)
            return f"paid {amount}"

        def balance(account: str) -> dict[str, Any]:
            """What is left on an account."""
            self.read.append(f"balance {account}")
            return {"left": self.left, "iban": "DE02"}

        def rating(account: str) -> str:
            """How an account is rated."""
            self.read.append(f"rating {account}")
            if self.down:
                raise OSError("the line to DE02 is down")
            return "AAA"

        if not asynchronous:
            return [StructuredTool.from_function(body) for body in (pay, balance, rating)]

        def awaited(body: Any) -> Any:
            async def call(**args: Any) -> Any:
                return body(**args)

            return call

        plain = [StructuredTool.from_function(body) for body in (pay, balance, rating)]
        return [
            StructuredTool(
                name=tool.name,
                description=tool.description,
                args_schema=tool.args_schema,
                coroutine=awaited(tool.func),
            )
            for tool in plain
        ]


def paying(messages: list[dict[str, Any]]) -> Reply:
    if messages[-1]["role"] == "tool":
        return Reply(text="done")
    return Reply(reasoning="I pay. " * 30, calls=(CallPlan("pay", ARGS),))


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(tmp_path: Path, colour: str, bank: Bank, act: Any) -> tuple[EventLog, Any]:
    """Ask, let `act` look at the question, approve; what was seen, and the rows."""
    policy, log = tmp_path / "policy.yaml", EventLog()
    policy.write_text(POLICY)

    async def go() -> Any:
        tools = bank.tools(asynchronous=colour == "async")
        journal = f"sqlite:///{tmp_path / 'journal.db'}"
        options: dict[str, Any] = {"durability": "process", "telemetry": False, "observers": [log]}
        async with sf.Runtime(policy, tools=tools, journal=journal, **options) as rt:
            model = ScriptedChatModel(script=paying, delay=0.001)
            saver = InMemorySaver()
            app = create_agent(model, tools, middleware=[rt.middleware()], checkpointer=saver)

            async def invoke(given: Any) -> Any:
                if colour == "async":
                    return await app.ainvoke(given, CONFIG)
                return await asyncio.to_thread(app.invoke, given, CONFIG)

            paused = await invoke({"messages": [("user", "pay")]})
            await act(paused["__interrupt__"][0], invoke)
            done = await invoke(Command(resume={paused["__interrupt__"][0].id: {"type": "approve"}}))
            assert "__interrupt__" not in done, "what was read has no say in whether the answer counts"
            rows = await rt.journal.snapshot()
            assert verify(rows) == ()
            return rows

    return log, asyncio.run(go())


def test_what_is_shown_is_read_early_and_once(tmp_path: Path, colour: str) -> None:
    bank, seen = Bank(), []

    async def act(asked: Any, invoke: Any) -> None:
        assert bank.paid == []
        seen.append(asked.value["description"])
        bank.left = 3
        again = await invoke(None)
        assert again["__interrupt__"][0].value == asked.value, "whoever looks again sees the same"

    log, rows = run(tmp_path, colour, bank, act)
    (text,) = seen
    assert (
        'Read for this question:\nbalance: {"iban": "[redacted]", "left": 100}\nrating: AAA\n\nTool: pay'
        in text
    )
    assert "4111" not in text
    assert sorted(bank.read) == ["balance main", "rating main"]
    assert bank.paid == [5.0]
    outcomes = log.outcomes()
    assert outcomes["hit"] + outcomes["late"] == 1, "the balance was read while the model was writing"
    assert [row.shown for row in rows.approvals] == [text]


def test_a_read_that_fails_keeps_nobody_from_being_asked(tmp_path: Path, colour: str) -> None:
    bank = Bank()
    bank.down = True

    async def act(asked: Any, _invoke: Any) -> None:
        assert "rating: not known (OSError)\n" in asked.value["description"]
        assert "the line to" not in asked.value["description"]
        (question,) = questions(asked, lambda _tool: ("args.card",))
        assert question.text.startswith("pay needs your approval\n\nRead for this question:\nbalance: {")
        assert "4111" not in question.text

    run(tmp_path, colour, bank, act)
    assert bank.paid == [5.0]
