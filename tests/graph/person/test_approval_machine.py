"""Whatever happens between question and answer, nothing runs without an approval of it that still holds."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from langchain.agents import create_agent
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

import specflow as sf
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.manual_clock import ManualClock
from specflow.testing.model_server.reply import CallPlan, Reply

WITHIN = 60.0
NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))


class LastingJournal(MemoryJournal):
    """Outlives the runtimes, as a database does."""

    async def aclose(self) -> None:
        """Nothing: the next process goes on with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """As the machine remembers it: what held when it was first asked."""

    thread: str
    interrupt_id: str
    amount: int
    policy: int
    schema: int
    asked: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer that was given, and the checkpoint it was given to."""

    config: Any
    interrupt_id: str
    decision: dict[str, Any]


class Approvals(RuleBasedStateMachine):
    """Threads that each ask to pay some amounts; every amount is asked for once."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.journal = LastingJournal(self.clock)
        self.saver = InMemorySaver()
        self.paid: list[int] = []
        self.approved: list[int] = []
        self.open: dict[str, Question] = {}
        self.given: list[Given] = []
        self.numbers = itertools.count(1)
        self.policy = self.schema = 0
        self.rt: sf.Runtime | None = None

    # ------------------------------------------------------------------ processes

    @initialize()
    def start(self) -> None:
        self._build()

    def _build(self) -> None:
        if self.rt is not None:
            self._run(self.rt.aclose())
        path = Path(self.folder.name) / "policy.yaml"
        path.write_text(
            f"version: 1\ndefaults: {{confirm_within: {WITHIN:g}}}\n"
            f"tools:\n  pay: {{effect: confirmation_required, timeout: {10 + self.policy}s}}\n"
        )

        async def pay(amount: int) -> str:
            self.paid.append(amount)
            return f"paid {amount}"

        tool = StructuredTool.from_function(coroutine=pay, name="pay", description=f"Pay. {self.schema}")

        def script(messages: list[dict[str, Any]]) -> Reply:
            if messages[-1]["role"] == "tool":
                return Reply(text="done")
            return Reply(
                calls=tuple(CallPlan("pay", {"amount": n}) for n in map(int, messages[-1]["content"].split()))
            )

        self.rt = sf.Runtime(path, tools=[tool], journal=self.journal, clock=self.clock, telemetry=False)
        self.app = create_agent(
            ScriptedChatModel(script=script, delay=0.0),
            [tool],
            middleware=[self.rt.middleware()],
            checkpointer=self.saver,
        )

    def _run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def teardown(self) -> None:
        if self.rt is not None:
            self._run(self.rt.aclose())
        self.loop.close()
        self.folder.cleanup()

    # ------------------------------------------------------------------ questions and answers

    def _look(self, thread: str) -> None:
        """What is open in the thread now; a question that was there before stays as it was."""
        state = self._run(self.app.aget_state(_config(thread)))
        now = {item.id: item.value["args"]["amount"] for item in state.interrupts}
        self.open = {key: item for key, item in self.open.items() if item.thread != thread or key in now}
        for key, amount in now.items():
            asked = Question(
                thread=thread,
                interrupt_id=key,
                amount=amount,
                policy=self.policy,
                schema=self.schema,
                asked=self.clock.wall(),
            )
            self.open.setdefault(key, asked)

    @rule(calls=st.integers(1, 3))
    @precondition(lambda self: len(self.open) < 6)
    def ask(self, calls: int) -> None:
        amounts = [next(self.numbers) for _ in range(calls)]
        thread = f"t{amounts[0]}"
        self._run(self.app.ainvoke({"messages": [("user", " ".join(map(str, amounts)))]}, _config(thread)))
        self._look(thread)
        assert sorted(q.amount for q in self.open.values() if q.thread == thread) == amounts

    @rule(
        which=st.integers(0, 9), decision=st.sampled_from(["approve", "approve", "edit", "reject", "respond"])
    )
    @precondition(lambda self: self.open)
    def answer(self, which: int, decision: str) -> None:
        question = list(self.open.values())[which % len(self.open)]
        said: dict[str, Any] = {"type": decision}
        amount = question.amount
        if decision == "edit":
            amount = next(self.numbers)
            said["edited_action"] = {"name": "pay", "args": {"amount": amount}}
        if decision == "respond":
            said["message"] = "cash"
        holds = (question.policy, question.schema) == (self.policy, self.schema)
        holds = holds and self.clock.wall() <= question.asked + WITHIN
        config = self._run(self.app.aget_state(_config(question.thread))).config
        before = list(self.paid)
        self._run(self.app.ainvoke(Command(resume={question.interrupt_id: said}), _config(question.thread)))
        self.given.append(Given(config=config, interrupt_id=question.interrupt_id, decision=said))
        self._look(question.thread)
        assert question.interrupt_id not in self.open
        same = (question.thread, question.amount)
        again = [item for item in self.open.values() if (item.thread, item.amount) == same]
        if decision in {"approve", "edit"} and holds:
            self.approved.append(amount)
            assert (self.paid, again) == ([*before, amount], [])
        else:
            assert self.paid == before
            assert len(again) == (decision in {"approve", "edit"}), "asked again, and only after a yes"

    @rule(which=st.integers(0, 99))
    @precondition(lambda self: self.given)
    def resume_again(self, which: int) -> None:
        """The same answer to the same checkpoint: nothing new may come of it."""
        given = self.given[which % len(self.given)]
        before = list(self.paid)
        self._run(self.app.ainvoke(Command(resume={given.interrupt_id: given.decision}), given.config))
        assert self.paid == before
        thread = given.config["configurable"]["thread_id"]
        # The thread goes on from there, and what was open then may be open again: no more is asked of it.
        self.open = {key: item for key, item in self.open.items() if item.thread != thread}

    # ------------------------------------------------------------------ what changes meanwhile

    @rule()
    def restart(self) -> None:
        self._build()

    @rule(policy=st.integers(0, 1))
    def change_policy(self, policy: int) -> None:
        self.policy = policy
        self._build()

    @rule(schema=st.integers(0, 1))
    def change_schema(self, schema: int) -> None:
        self.schema = schema
        self._build()

    @rule(seconds=st.sampled_from([1.0, WITHIN / 2, WITHIN, WITHIN + 1]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def every_payment_has_its_own_approval(self) -> None:
        assert self.paid == self.approved
        assert len(set(self.paid)) == len(self.paid)

    @invariant()
    def the_journal_holds_together(self) -> None:
        assert verify(self._run(self.journal.snapshot())) == ()


def _config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


TestApprovals = Approvals.TestCase
TestApprovals.settings = settings(
    max_examples=200 if NIGHTLY else 12,
    stateful_step_count=25 if NIGHTLY else 14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
