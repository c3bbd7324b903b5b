"""One run of the agent in one form and one way, and all that somebody outside can see of it."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langgraph.types import Command
from ways_flow import TRIP, by_hand, workflow
from ways_forms import with_create_agent, with_state_graph
from ways_of_running import Way
from ways_savers import saver_of
from ways_seen import Names, as_if_streamed, checkpoints, numbered, plain
from ways_story import POLICY, Gate, WaitingModel, World, story

import specflow as sf
from specflow.clock import SystemClock
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.testing.scripted_core import EventLog

SHAPES = {"create_agent": "blocks", "StateGraph": "inline", "Workflow": "field"}
"""How the model of each form sends its reasoning."""
FORMS = tuple(SHAPES)


class Heard(BaseCallbackHandler):
    """What a handler of the user is told: names, tags, metadata, payloads, and whose child each run is."""

    run_inline = True

    def __init__(self, *, tokens: bool) -> None:
        self.log: list[Any] = []
        self._tokens = tokens
        self._lock = threading.Lock()

    def _say(self, what: str, payload: Any, **told: Any) -> None:
        shown = {
            name: plain(told.get(name))
            for name in ("name", "run_id", "parent_run_id", "tags", "metadata")
            if told.get(name) is not None
        }
        shown |= {name: str(shown_id) for name in ("run_id", "parent_run_id") if (shown_id := told.get(name))}
        # LangGraph's own handler writes the tags into the metadata, which both are given, before us or after.
        shown.get("metadata", {}).pop("tags", None)
        with self._lock:
            self.log.append({"what": what, "payload": plain(payload), **shown})

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self._say("model", messages, **kwargs)

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        if self._tokens:
            self._say("token", token, **kwargs)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self._say("said", response.generations[0][0].message, **kwargs)

    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        self._say("tool", [serialized.get("name"), kwargs.get("inputs")], **kwargs)

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        self._say("answer", output, **kwargs)

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self._say("custom", [name, data], **kwargs)

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self._say("chain", inputs, **kwargs)

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self._say("chain end", outputs, **kwargs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self._say("chain error", type(error).__name__, **kwargs)

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
        self._say("tool error", type(error).__name__, **kwargs)


@dataclass(frozen=True)
class Trial:
    """`mode` None: without specflow; of a Workflow, its like written by hand. `asks`: a person confirms."""

    form: str
    way: Way
    mode: str | None = "on"
    saver: str = "none"
    asks: bool = False
    question: str = "send Rome"
    script: Callable[[Any], Any] = story
    names: tuple[str, ...] = ("look", "hold", "pay")
    compiled: dict[str, Any] = field(default_factory=dict)
    """Further options of `compile`."""
    answer: dict[str, Any] = field(default_factory=lambda: {"type": "approve"})
    reasoning: str = ""
    raises: type[Exception] | None = None
    """The run ends with such an error."""

    def without(self) -> Trial:
        return replace(self, mode=None)


@dataclass
class Seen:
    """`told` is everything that can be compared; the rest says what specflow and the tools did."""

    told: dict[str, Any]
    log: EventLog
    world: World
    violations: tuple[Any, ...] = ()

    def outcomes(self) -> dict[str, int]:
        return {name: count for name, count in self.log.outcomes().items() if count}

    def hits(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for event in self.log.events:
            if event.kind == "call_ended" and event.outcome == "hit" and event.call:
                found[event.call.tool] = found.get(event.call.tool, 0) + 1
        return found


async def perform(trial: Trial, folder: Path, url: str = "") -> Seen:
    """Run it to its end, with the person's answers."""
    stage = Stage(trial, folder, url)
    told: dict[str, Any] = {}
    violations: tuple[Any, ...] = ()
    way = trial.way
    async with saver_of(trial.saver, folder, url, asynchronous=way.asynchronous) as saver:
        graph, rt = stage.made({"checkpointer": saver, **trial.compiled})
        heard = Heard(tokens=way.streams)
        config: dict[str, Any] = {"callbacks": [heard], "tags": ["mine"], "metadata": {"who": "ada"}}
        bare = {"configurable": {"thread_id": uuid.uuid4().hex}}
        try:
            with get_usage_metadata_callback() as usage:
                told["parts"] = await _converse(trial, graph, {**config, **(bare if saver else {})})
            told["usage"] = {name: plain(used) for name, used in usage.usage_metadata.items()}
            told["heard"] = heard.log
            if saver is not None:
                told["state"] = plain(await _state(way, graph, bare))
                told["checkpoints"] = checkpoints(await _saved(way, saver, bare))
            if rt is not None:
                violations = verify(await rt.journal.snapshot())
        finally:
            if rt is not None:
                await rt.aclose()
    # Whether early or not, each call was made as often as without specflow.
    told["done"] = [list(one) for one in sorted(stage.world.done)]
    if not way.streams:
        told = as_if_streamed(told)
    return Seen(numbered(told, Names()), stage.log, stage.world, violations)


class Stage:
    """What one trial is played on: its tools, its model, its policy, its journal."""

    def __init__(self, trial: Trial, folder: Path, url: str) -> None:
        self.trial = trial
        self.log = EventLog()
        self.world = World(trial.way.asynchronous)
        self._gate = Gate(self.log if trial.mode == "on" else None)
        reasoning: Any = trial.reasoning or SHAPES[trial.form]
        self._model = WaitingModel(script=trial.script, speed=None, reasoning=reasoning, gate=self._gate)
        self._policy = folder / f"policy-{trial.asks}.yaml"
        self._policy.write_text(POLICY.replace("CONFIRM", "ask" if trial.asks else "host"))
        # Where the checkpoints are, there is the journal.
        journal: Any = url.replace("postgresql:", "postgresql+psycopg:") or MemoryJournal(SystemClock())
        if trial.saver == "SQLite":
            journal = f"sqlite:///{folder / 'journal.db'}"
        self._runtime: dict[str, Any] = {
            "journal": journal,
            "observers": [self.log],
            "durability": "process",
            "telemetry": False,
            "mode": trial.mode,
        }

    def made(self, options: dict[str, Any]) -> tuple[Any, sf.Runtime | None]:
        """The graph, and what is to be closed after it. `options` are those of `compile`."""
        trial, tools, release = self.trial, self.world.tools(*self.trial.names), self.world.tool("release")
        if trial.form != "Workflow":
            rt = sf.Runtime(self._policy, tools=[*tools, release], **self._runtime) if trial.mode else None
            make = with_create_agent if trial.form == "create_agent" else with_state_graph
            return make(rt, self._model, tools, asks=trial.asks, **options), rt
        given: Any = (self._model, {tool.name: tool for tool in [*tools, release]}, self._gate)
        asynchronous = trial.way.asynchronous
        if trial.mode is None:
            return by_hand(*given, asynchronous=asynchronous, asks=trial.asks, **options), None
        flow = workflow(self._policy, *given, asynchronous=asynchronous)
        app = flow.compile(**self._runtime, **options)
        return app, app.specflow


async def _converse(trial: Trial, graph: Any, config: dict[str, Any]) -> list[Any]:
    """The run, and as long as it waits for somebody, its continuation."""
    given = TRIP if trial.form == "Workflow" else {"messages": [("user", trial.question)]}
    if trial.raises is not None:
        with pytest.raises(trial.raises) as raised:
            await trial.way.run(graph, given, config, {})
        return [plain(raised.value)]
    parts = [plain(await trial.way.run(graph, given, config, {}))]
    while "configurable" in config:
        state = await _state(trial.way, graph, config)
        if not state.next:
            break
        answer = {one.id: trial.answer for one in state.interrupts}
        resumed = Command(resume=answer) if answer else None
        parts.append(plain(await trial.way.run(graph, resumed, config, {})))
    return parts


async def _state(way: Way, graph: Any, config: Any) -> Any:
    if way.asynchronous:
        return await graph.aget_state(config)
    return await asyncio.to_thread(graph.get_state, config)


async def _saved(way: Way, saver: Any, config: Any) -> list[Any]:
    if way.asynchronous:
        return [one async for one in saver.alist(config)]
    return await asyncio.to_thread(lambda: list(saver.list(config)))
