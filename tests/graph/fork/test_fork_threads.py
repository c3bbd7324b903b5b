"""Forks of synchronous runs: a thread cannot be cancelled, and keeps its place until it has ended."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from specflow.effects.call import Call
from specflow.graph.fork import run
from specflow.graph.fork.origin import Origin
from specflow.graph.fork.run import GraphForker
from specflow.prediction.result_guess import ResultGuess
from specflow.speculation.branch import Branch

NOBODY: Any = SimpleNamespace
"""Makes coordinators that are never asked anything."""


class Slow:
    """A graph whose model does not answer until `let_go` is set. Counts the runs at the same time."""

    def __init__(self) -> None:
        self.let_go, self.began = threading.Event(), threading.Event()
        self.running = self.most = 0
        self._lock = threading.Lock()

    def invoke(self, *_given: Any, **_named: Any) -> None:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.began.set()
        assert self.let_go.wait(30)
        with self._lock:
            self.running -= 1

    def origin(self) -> Any:
        session: Any = SimpleNamespace(model_calls=None)
        attached: Any = SimpleNamespace(entry=lambda _node: self, stops=())
        return Origin(
            attached=attached,
            node="tools",
            state={},
            config={},
            context=None,
            store=None,
            around=contextvars.copy_context(),
            answers=0,
            threaded=True,
            session=session,
        )


async def forked(forker: GraphForker, graph: Slow) -> None:
    guess = ResultGuess(value=1, confidence=0.9, predictor="guessing")
    branch = Branch(branch_id="b", hypothesis="h", odds=1.0)
    await forker.run(branch, Call(tool="look"), guess, graph.origin())


async def test_a_thread_keeps_its_place_until_it_has_ended() -> None:
    graph, forker = Slow(), GraphForker(NOBODY, most=2)
    try:
        for _ in range(5):
            graph.began.clear()
            task = asyncio.create_task(forked(forker, graph))
            await asyncio.to_thread(graph.began.wait, 0.5)
            task.cancel()
            await asyncio.wait({task})
        assert graph.most == 2
    finally:
        graph.let_go.set()
    while graph.running or forker._running:
        await asyncio.sleep(0.01)
    graph.began.clear()
    await forked(forker, graph)
    assert graph.began.is_set(), "there is room again"
    assert forker.finished == 3


async def test_where_no_thread_can_be_started_no_place_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_left(*_given: Any, **_named: Any) -> None:
        raise RuntimeError("can't start new thread")

    graph, forker = Slow(), GraphForker(NOBODY, most=1)
    monkeypatch.setattr(run, "on_thread", none_left)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await forked(forker, graph)
    assert forker._running == 0
    assert forker.finished == 3
