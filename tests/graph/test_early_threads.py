"""Early synchronous bodies have threads of their own, and the real run keeps its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool

from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.errors import ConflictError
from specflow.execution import early_threads
from specflow.graph.tools import BodyRunner

EARLY = CallContext(early=True)
PATIENCE = 60.0
"""Seconds after which a test gives up; none of them waits for this."""


class Gate:
    """A synchronous tool whose body waits until the gate is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered: list[str] = []

    def tool(self) -> BaseTool:
        @tool
        def wait_at(name: str) -> str:
            """Wait."""
            self.entered.append(name)
            self.opened.wait(PATIENCE)
            return f"{name} on {threading.current_thread().name}"

        return wait_at

    async def until_inside(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.entered) < count:
                await asyncio.sleep(0.005)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()
    for thread in threading.enumerate():
        if thread.name == "specflow-early":
            thread.join(PATIENCE)


def call(name: str) -> Call:
    return Call(tool="wait_at", args={"name": name})


async def test_guesses_that_nobody_wants_any_more_leave_the_real_run_its_threads(gate: Gate) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    runner = BodyRunner(gate.tool())
    lost = [asyncio.ensure_future(runner(call(str(number)), EARLY)) for number in range(8)]
    await gate.until_inside(8)
    for task in lost:
        task.cancel()
    await asyncio.wait(lost)
    assert all(task.cancelled() for task in lost)

    @tool
    def real(x: int) -> int:
        """A tool of the real run, as the user's own code calls it."""
        return x + 1

    async with asyncio.timeout(PATIENCE):
        assert await real.ainvoke({"x": 1}) == 2


async def test_an_early_body_that_finds_no_thread_is_withheld_at_once(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_threads, "READS", early_threads.EarlyThreads(most=2, daemon=True))
    runner = BodyRunner(gate.tool())
    first = [asyncio.ensure_future(runner(call(str(number)), EARLY)) for number in range(2)]
    await gate.until_inside(2)
    with pytest.raises(ConflictError, match="2 early calls") as raised:
        await runner(call("third"), EARLY)
    assert raised.value.facts["cause"] == "threads"
    write = asyncio.ensure_future(runner(call("write"), CallContext(early=True, idempotency_key="k")))
    await gate.until_inside(3)
    gate.opened.set()
    assert [await task for task in (*first, write)] == [
        "0 on specflow-early", "1 on specflow-early", "write on specflow-early",
    ]  # fmt: skip
    assert (await runner(call("fourth"), EARLY)).startswith("fourth"), "threads that have ended count no more"


async def test_what_is_not_early_runs_where_it_always_did(gate: Gate) -> None:
    gate.opened.set()
    value = await BodyRunner(gate.tool())(call("undo"), CallContext(compensating=True, idempotency_key="k"))
    assert "specflow-early" not in value


async def test_the_body_sees_the_context_of_its_turn_and_its_errors_come_back() -> None:
    seen: ContextVar[str] = ContextVar("seen", default="")

    @tool
    def look(how: str) -> str:
        """Look."""
        if how == "stop":
            raise StopIteration
        if how == "exit":
            raise SystemExit(3)
        if how == "fail":
            raise OSError("away")
        return seen.get()

    seen.set("the turn's")
    runner = BodyRunner(look)
    assert await runner(Call(tool="look", args={"how": "see"}), EARLY) == "the turn's"
    expected: dict[str, Any] = {"stop": RuntimeError, "exit": RuntimeError, "fail": OSError}
    for how, error in expected.items():
        with pytest.raises(error):
            await runner(Call(tool="look", args={"how": how}), EARLY)


SCRIPT = """
import asyncio, sys, threading
from langchain_core.tools import tool
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.graph.tools import BodyRunner

inside = threading.Event()

@tool
def hang() -> str:
    "Hang."
    inside.set()
    threading.Event().wait()
    return ""

async def main():
    task = asyncio.ensure_future(BodyRunner(hang)(Call(tool="hang", args={}), CallContext(early=True)))
    while not inside.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])

asyncio.run(main())
print("ended")
"""


def test_a_process_ends_while_a_lost_guess_still_hangs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_cancelled_before_it_begins_a_body_does_not_run() -> None:
    threads = early_threads.EarlyThreads(most=None, daemon=True)
    ran: list[int] = []
    for number in range(50):
        threads.submit(ran.append, number).cancel()
    end = time.monotonic() + PATIENCE
    while threads.alive and time.monotonic() < end:
        time.sleep(0.01)
    assert set(ran) <= set(range(50))
    assert threads.submit(lambda: 7).result(PATIENCE) == 7
