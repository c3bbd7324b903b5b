"""Shadow mode agrees with replay: what would have run early, what would have hit, what that would save."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import StructuredTool
from pydantic import SecretStr

import specflow as sf
from specflow.effects.call import Call
from specflow.graph.tools import specs_of
from specflow.policy.load import loads
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.replay.latency import latency
from specflow.replay.simulate import Tools, play
from specflow.replay.steps import steps_of, tools_of
from specflow.replay.summary import Summary, replay_run
from specflow.speculation.parts import Mode
from specflow.speculation.shadow_report import ShadowReport
from specflow.testing.model_server import ModelServer, recorded_script
from specflow.traces.recorded import RecordedRun

CALLS = st.tuples(
    st.sampled_from(["read", "held", "banned"]), st.fixed_dictionaries({"id": st.integers(0, 3)})
)
TURNS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 2.0, 7.0]), st.lists(CALLS, max_size=4), st.booleans()), max_size=5
)
GUESSES = st.lists(st.lists(st.tuples(st.integers(0, 6), CALLS), max_size=4), max_size=5)


def in_shadow(kit: Any, run: RecordedRun, predictor: Any, policy: str, takes: str) -> dict[str, Any]:
    """What the report says of the run, live on virtual time: the real core, in shadow mode."""
    steps = tuple(steps_of(run))
    bodies = Tools(steps, latency(takes))
    registry = tools_of(run, bodies)
    judge = loads(policy, tools=registry)
    done = play(steps, registry=registry, judge=judge, tools=bodies, predictors=[predictor], mode=Mode.SHADOW)
    report = ShadowReport()
    for event in done.log.events:
        report.see(event)
    assert done.log.outcomes() == {**done.log.outcomes(), "hit": 0, "late": 0, "cancelled": 0}
    return dict(report.as_json())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turns=TURNS, guesses=GUESSES, takes=st.sampled_from(["0s", "0.5s", "3s", "lognormal:1,1"]))
def test_on_virtual_time_they_agree_to_the_microsecond(
    kit: Any, turns: list[Any], guesses: list[Any], takes: str
) -> None:
    """Free reads with room for all of them: nothing that only early work itself would show."""
    spoken: list[Any] = []
    for seconds, calls, user in turns:
        spoken += [{"role": "user", "content": "go on"}] if user else []
        spoken.append(kit.answer(seconds, *calls))
    said = [[(piece, Call(tool=name, args=args), 0.9) for piece, (name, args) in turn] for turn in guesses]
    policy = kit.policy.replace("max_concurrent: 2", "max_concurrent: 64, max_wasted_share: 1")
    run = kit.run(*spoken)
    one = replay_run(
        run,
        Summary(),
        judge_for=lambda tools: loads(policy, tools=tools),
        predictors=[kit.guesser(said)],
        latency=latency(takes),
    )
    found = in_shadow(kit, run, kit.guesser(said), policy, takes)
    assert found["steps"] == one.steps
    assert found["launched"] == one.launched
    adopted = found["outcomes"]["hit"] + found["outcomes"]["late"]
    assert adopted == one.outcomes["hit"] + one.outcomes["late"]
    assert found["outcomes"]["miss"] == one.outcomes["miss"]
    assert found["wasted_calls"] == one.wasted_calls
    assert found["saved_seconds"] == pytest.approx(one.saved_seconds, abs=2e-3)


def test_what_a_predictor_takes_back_is_no_hit(kit: Any) -> None:
    """Taken back, then called after all: early work would have been cancelled."""
    from specflow.prediction.candidate import Candidate, Retraction

    class Fickle:
        name = "fickle"

        def listen(self, context: Any) -> Any:
            self.heard = -1
            return self

        def hear(self, chunk: Any) -> Any:
            self.heard += 1
            call = Call(tool="read", args={"id": 1})
            if self.heard == 0:
                yield Candidate(call=call, confidence=0.9, predictor=self.name)
            elif self.heard == 2:
                yield Retraction(call=call, predictor=self.name, reason="no")

    run = kit.run(kit.answer(4.0, ("read", {"id": 1})))
    found = in_shadow(kit, run, Fickle(), kit.policy, "1s")
    assert (found["launched"], found["wasted_calls"], found["outcomes"]["miss"]) == (1, 1, 1)
    assert found["misfires_by_predictor"] == {"fickle": {"too_early": 1}}


def test_many_conversations_are_not_kept_for_ever(kit: Any) -> None:
    run = kit.run(kit.answer(4.0, ("read", {"id": 1})))
    steps = tuple(steps_of(run))
    bodies = Tools(steps, latency("1s"))
    registry = tools_of(run, bodies)
    judge = loads(kit.policy, tools=registry)
    guess = kit.guesser([[(0, Call(tool="read", args={"id": 2}), 0.9)]])
    done = play(steps, registry=registry, judge=judge, tools=bodies, predictors=[guess], mode=Mode.SHADOW)
    report = ShadowReport(limit=3)
    from dataclasses import replace

    for number in range(20):
        for event in done.log.events:
            if event.kind != "settled":
                report.see(replace(event, session_id=f"s{number}", thread=f"t{number}"))
    assert len(report._open) == 3
    assert report.as_json()["launched"] == 20


POLICY = """version: 1
defaults: {speculation: {min_confidence: 0.3}}
tools:
  look_up_order: {effect: read_only, speculate: now, reads: ["order:{args.order_id}"]}
  list_shipments: {effect: read_only, speculate: now, reads: ["order:{args.order_id}"]}
"""
TAKES = 1.5
IDLE = "The weather is fine and the parcel is late again, as it was the week before. " * 6


async def look_up_order(order_id: str) -> str:
    """Look up an order. Order ids look like A-1007."""
    await asyncio.sleep(TAKES)
    return f"{order_id} is on its way"


async def list_shipments(order_id: str) -> str:
    """List the shipments of an order."""
    await asyncio.sleep(TAKES)
    return f"{order_id}: one parcel"


def scripted(tools: list[Any]) -> RecordedRun:
    """Three calls: foreseen, foreseen with another argument, and not foreseen in the reasoning."""
    listed = [
        {"name": spec.name, "description": spec.description, "parameters": dict(spec.parameters)}
        for spec in specs_of(tools)
    ]
    said = (
        ("I will look up order A-1007. " + IDLE, "look_up_order", "A-1007"),
        ("I will list the shipments of order B-2001. " + IDLE, "list_shipments", "A-1007"),
        (IDLE, "look_up_order", "B-2001"),
    )
    turns: list[dict[str, Any]] = [{"role": "user", "content": "Where are A-1007 and B-2001?"}]
    for number, (words, name, order) in enumerate(said):
        turns.append(
            {
                "role": "assistant",
                "reasoning": words,
                "gen_s": 2.5,
                "tool_calls": [{"id": f"c{number}", "name": name, "args": {"order_id": order}}],
                "tool_results": [{"id": f"c{number}", "content": "found"}],
            }
        )
    turns.append({"role": "assistant", "content": "On their way.", "gen_s": 0.5})
    return RecordedRun.model_validate({"model": "scripted", "task_id": "1", "tools": listed, "turns": turns})


@pytest.mark.slow
async def test_a_live_agent_in_shadow_mode_agrees_with_its_replay(tmp_path: Path) -> None:
    """Over real HTTP, by the wall clock. Counts are equal; seconds within 35 % and half a second, since a
    busy machine makes real tools and real streams later than virtual ones.
    """
    (tmp_path / "p.yaml").write_text(POLICY)
    tools = [StructuredTool.from_function(coroutine=body) for body in (look_up_order, list_shipments)]
    run, report = scripted(tools), ShadowReport()
    with ModelServer(recorded_script(run)) as server:
        model = sf.ReasoningChatOpenAI(base_url=server.url, api_key=SecretStr("none"), model="scripted")
        async with sf.Runtime(
            tmp_path / "p.yaml",
            tools=tools,
            journal=f"sqlite:///{tmp_path}/j.db",
            mode="shadow",
            observers=[report],
        ) as rt:
            agent = create_agent(model, tools, middleware=[rt.middleware()])
            asked = HumanMessage("Where are A-1007 and B-2001?")
            done = await agent.ainvoke({"messages": [asked]})
    assert done["messages"][-1].text == "On their way."
    live = report.as_json()
    # In a thread of its own: virtual time cannot pass inside a loop that runs by the wall clock.
    replayed = await asyncio.to_thread(
        replay_run,
        run,
        Summary(),
        judge_for=lambda registry: loads(POLICY, tools=registry),
        predictors=[ReasoningSniffer(), PartialCallPredictor()],
        latency=latency(f"{TAKES}s"),
    )
    assert live["launched"] == replayed.launched
    adopted = live["outcomes"]["hit"] + live["outcomes"]["late"]
    assert adopted == replayed.outcomes["hit"] + replayed.outcomes["late"] == 3
    assert live["wasted_calls"] == replayed.wasted_calls == 1
    assert replayed.saved_seconds > 1.0
    assert live["saved_seconds"] == pytest.approx(replayed.saved_seconds, rel=0.35, abs=0.5)
    by_replay = replayed.misfires.rows()
    for name, counts in live["misfires_by_predictor"].items():
        assert counts == {kind: count for kind, count in by_replay[name].items() if count}
