"""How many sessions at once keep the gain of a single one, through LangGraph in one process.

The model is `ModelServer` over HTTP, in a process of its own, at a model's true pace; so what is limited is
the one event loop that all the agents share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from time import perf_counter, process_time
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

import specflow as sf
from specflow.bench.agent import NAMED, PACE, Scene, replies_of
from specflow.bench.effort import Effort
from specflow.bench.elsewhere import server_elsewhere
from specflow.bench.paired import paired
from specflow.bench.row import Row, row, skipped
from specflow.bench.sample import folder, runtime, tools
from specflow.bench.whereabouts import Whereabouts

BENCH, METRIC = "concurrency", "time per run"
KEPT = 0.9
MOST = 128
"""Sessions at once; more are not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many sessions at once, both ways: mean seconds of a run in each round, and the share of a core that
    the process used. `where` the loop's time went with specflow.
    """

    at_once: int
    alone: tuple[float, ...]
    ahead: tuple[float, ...]
    busy_alone: float
    busy_ahead: float
    where: str

    @property
    def gain(self) -> float:
        """Seconds that a run is faster, in the mean."""
        return fmean(self.alone) - fmean(self.ahead)


def rows(effort: Effort) -> Iterator[Row]:
    """Twice as many sessions each time, until they keep less than 90 % of the gain of a single one."""
    scene = Scene(replies=replies_of(NAMED, 90), latency=1.5, speed=1.0 if not effort.quick else 10.0)
    most = effort.size(MOST, 2)
    # One loop for all: the client keeps its connections from one run to the next.
    with server_elsewhere(scene.replies, pace=PACE, speed=scene.speed) as url, asyncio.Runner() as runner:
        single, last, at_once = None, 0, 1
        while at_once <= most:
            effort.tell(f"concurrency: {at_once} at once")
            load = runner.run(_measured(url, scene, at_once, effort.pairs(2)))
            single = single or load
            kept = load.gain / single.gain if single.gain > 0 else 0.0
            yield _row(load, kept, scene)
            if kept < KEPT:
                break
            last, at_once = at_once, 2 * at_once
    if last:
        found = paired([float(last)], [1.0])
        gain = single.gain if single else 0.0
        note = f"the largest number tried that keeps {KEPT:.0%} of a single session's gain of {gain:.2f} s"
        yield row(BENCH, "sessions at once that keep the gain", "sessions", "sessions", found, note=note)
    else:
        why = "a single session gains nothing on this machine"
        yield skipped(BENCH, "sessions at once that keep the gain", "sessions", "sessions", why)


def _row(load: Load, kept: float, scene: Scene) -> Row:
    note = (
        f"{kept:.0%} of a single session's gain; bound {scene.bound:.3f}; share of a core in use "
        f"{load.busy_alone:.2f} sequentially, {load.busy_ahead:.2f} ahead; time of the loop: {load.where}"
    )
    return row(BENCH, f"{load.at_once} at once", METRIC, "s", paired(load.ahead, load.alone), note=note)


async def _measured(url: str, scene: Scene, at_once: int, rounds: int) -> Load:
    offered = [tools(scene.latency / scene.speed) for _ in range(2)]
    alone: list[float] = []
    ahead: list[float] = []
    watch = Whereabouts()
    with folder() as place, watch:
        async with runtime(place, offered[1], "crowd") as rt:
            plain, ours = _agent(url, offered[0]), _agent(url, offered[1], rt)
            await asyncio.gather(_run(plain, 0.0), _run(ours, 0.0))  # imports, connections, caches
            busy_alone = busy_ahead = 0.0
            for _ in range(rounds):
                one, busy = await _together(plain, at_once, scene)
                alone.append(one)
                busy_alone += busy / rounds
                watch.seen.clear()
                one, busy = await _together(ours, at_once, scene)
                ahead.append(one)
                busy_ahead += busy / rounds
            where = watch.shares()
    return Load(
        at_once=at_once,
        alone=tuple(alone),
        ahead=tuple(ahead),
        busy_alone=busy_alone,
        busy_ahead=busy_ahead,
        where=where,
    )


async def _together(agent: Any, at_once: int, scene: Scene) -> tuple[float, float]:
    """Mean seconds of a run, and the share of a core that the process used."""
    started, worked = perf_counter(), process_time()
    # Spread over a model turn, as users are: else all do the same at the same time.
    apart = scene.turn_seconds / at_once
    took = await asyncio.gather(*(_run(agent, number * apart) for number in range(at_once)))
    return fmean(took), (process_time() - worked) / (perf_counter() - started)


# Any: a compiled agent's four type parameters say nothing that is used here.
def _agent(url: str, offered: Sequence[Any], rt: sf.Runtime | None = None) -> Any:
    model = sf.ReasoningChatOpenAI(base_url=url, api_key=SecretStr("none"), model="scripted")
    return create_agent(model, list(offered), middleware=[rt.middleware()] if rt else [])


async def _run(agent: Any, wait: float) -> float:
    await asyncio.sleep(wait)
    started = perf_counter()
    done = await agent.ainvoke({"messages": [HumanMessage("Where is my order A-10432?")]})
    assert done["messages"][-1].text, "the agent answered"
    return perf_counter() - started
