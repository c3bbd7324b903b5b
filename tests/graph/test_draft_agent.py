"""A whole agent and a draft model, both over HTTP: what the small one foresees is there when it is wanted."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.tools import BaseTool, tool

import specflow as sf
from specflow.graph.draft.calls import DraftModel
from specflow.graph.reasoning import ReasoningChatOpenAI
from specflow.journal.event import CallEvent, EventKind
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.speculation.lookahead import Lookahead
from specflow.testing.model_server import CallPlan, ModelServer, Reply, ScriptedError
from specflow.testing.scripted_core import EventLog

WAIT = 100.0
"""Seconds after which a test that hangs is given up; nothing takes so long."""

POLICY = """
version: 1
tools:
  search: {effect: read_only, destinations: {host: search.example}}
  advice: {effect: read_only, destinations: {host: advice.example}}
  book:
    effect: compensatable
    speculate: now
    writes: ["hotel:{args.hotel}"]
    compensate: {tool: cancel, with: {booking: result.booking}}
  cancel: {effect: confirmation_required, compensator_for: [book]}
  charge: {effect: confirmation_required}
"""
QUESTION = "A hotel in Rome?"
SEARCH = ("search", {"city": "Rome"})
ADVICE = ("advice", {"about": "Hotel Sole"})
Script = Callable[[list[dict[str, Any]]], Reply]


def heard(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages if message["role"] == "tool"]


def steps(*calls: tuple[str, dict[str, Any]], wait: Callable[[int], None] = lambda _number: None) -> Script:
    """Makes the calls one after the other, and then says what it heard; waits before each, if told to."""

    def script(messages: list[dict[str, Any]]) -> Reply:
        number = len(heard(messages))
        wait(number)
        if number == len(calls):
            return Reply(text=" / ".join(heard(messages)))
        name, args = calls[number]
        return Reply(calls=(CallPlan(name, args),))

    return script


@dataclass
class Desk:
    """The tools, and when each was called; `called` gives the event that is set by then."""

    calls: list[str] = field(default_factory=list)
    events: dict[str, threading.Event] = field(default_factory=dict)

    def called(self, name: str) -> threading.Event:
        return self.events.setdefault(name, threading.Event())

    def note(self, name: str) -> None:
        self.calls.append(name)
        self.called(name).set()

    def tools(self) -> list[BaseTool]:
        desk = self

        @tool
        def search(city: str) -> str:
            """Find a hotel."""
            desk.note("search")
            return "Hotel Sole"

        @tool
        def advice(about: str) -> str:
            """What to know of a place."""
            desk.note("advice")
            return f"{about} is quiet"

        @tool
        def book(hotel: str) -> dict[str, str]:
            """Book a hotel."""
            desk.note("book")
            return {"booking": hotel}

        @tool
        def cancel(booking: str) -> str:
            """Cancel a booking."""
            desk.note("cancel")
            return "cancelled"

        @tool
        def charge(hotel: str) -> str:
            """Charge the card."""
            desk.note("charge")
            return "charged"

        return [search, advice, book, cancel, charge]


@dataclass
class Watch:
    """Sees when the draft has proposed a call of a tool; so a test knows that it was heard in time."""

    events: dict[str, threading.Event] = field(default_factory=dict)

    def proposed(self, name: str) -> threading.Event:
        return self.events.setdefault(name, threading.Event())

    def see(self, event: CallEvent) -> None:
        said = event.candidate if event.kind in {EventKind.WITHHELD, EventKind.LAUNCHED} else None
        if said is not None and said.predictor == "draft":
            self.proposed(said.call.tool).set()

    def before_anything(self, name: str) -> Callable[[int], None]:
        """For `steps`: wait for that first."""

        def wait(number: int) -> None:
            assert number or self.proposed(name).wait(WAIT), "the draft said nothing"

        return wait


@dataclass(kw_only=True)
class Scene:
    desk: Desk
    server: ModelServer
    log: EventLog
    rt: sf.Runtime
    draft: DraftModel
    tools: Sequence[BaseTool]

    @property
    def agent(self) -> Any:
        return create_agent(self.model("big"), self.tools, middleware=[self.rt.middleware()])

    def model(self, name: str) -> ReasoningChatOpenAI:
        return chat(self.server, name)

    def asked(self, name: str) -> list[dict[str, Any]]:
        return [dict(request.body) for request in self.server.requests if request.model == name]

    def hits(self) -> list[tuple[str, str]]:
        """Tool and predictor of each early call that was adopted."""
        return [
            (event.candidate.call.tool, event.candidate.predictor)
            for event in self.log.of(EventKind.RESOLVED)
            if event.candidate is not None and event.outcome in {"hit", "late"}
        ]

    def withheld(self) -> dict[str, str]:
        """Why the calls of each tool were not started, the first time."""
        found: dict[str, str] = {}
        for event in self.log.of(EventKind.WITHHELD):
            assert event.candidate is not None
            found.setdefault(event.candidate.call.tool, event.cause)
        return found


def chat(server: ModelServer, name: str) -> ReasoningChatOpenAI:
    return ReasoningChatOpenAI(base_url=server.url, api_key="none", model=name, max_retries=0)


@contextmanager
def scene(
    place: Path,
    big: Script,
    small: Script,
    *,
    policy: str = POLICY,
    desk: Desk | None = None,
    watch: Watch | None = None,
    **options: Any,
) -> Iterator[Scene]:
    (place / "policy.yaml").write_text(policy, "utf-8")
    desk, log = desk or Desk(), EventLog()
    tools = desk.tools()
    with ModelServer({"big": big, "small": small}) as server:
        draft = DraftModel(chat(server, "small"), **{"seconds": WAIT, **options})
        rt = sf.Runtime(
            place / "policy.yaml",
            tools=tools,
            journal=f"sqlite:///{place / 'journal.db'}",
            predictors=[PartialCallPredictor(), draft],
            lookahead=Lookahead(seconds=WAIT),
            observers=[log, *([watch] if watch else [])],
            telemetry=False,
        )
        yield Scene(desk=desk, server=server, log=log, rt=rt, draft=draft, tools=tools)


def play(scene: Scene, *, synchronous: bool = False, config: Any = None) -> str:
    """The agent's answer."""
    question = {"messages": [("user", QUESTION)]}
    if synchronous:
        with scene.rt:
            return str(scene.agent.invoke(question, config)["messages"][-1].text)

    async def ask() -> str:
        async with scene.rt, asyncio.timeout(WAIT):
            return str((await scene.agent.ainvoke(question, config))["messages"][-1].text)

    return asyncio.run(ask())


@pytest.mark.parametrize("synchronous", [False, True], ids=["async", "sync"])
def test_the_call_is_made_while_the_agents_model_thinks(tmp_path: Path, synchronous: bool) -> None:
    desk = Desk()

    def until_it_was_called(number: int) -> None:
        if number == 0:
            assert desk.called("search").wait(WAIT), "only a guess can have made it"

    with scene(tmp_path, steps(SEARCH, wait=until_it_was_called), steps(SEARCH), desk=desk) as s:
        assert play(s, synchronous=synchronous) == "Hotel Sole"
        assert s.hits() == [("search", "draft")]
        assert desk.calls == ["search"], "once"
        spent = s.draft.spent
        assert spent.asked == 6, "before each of the two turns"
        assert spent.answered + spent.late == 6
        assert spent.input_tokens > 0
        big, small = s.asked("big"), s.asked("small")
    assert small[0]["tools"] == big[0]["tools"], "it has the agent's tools, as the agent has them"
    assert small[0]["messages"][1:] == big[0]["messages"]
    assert {json.dumps(body["messages"]) for body in small[:3]} == {json.dumps(small[0]["messages"])}
    assert small[-1]["messages"][: len(small[0]["messages"])] == small[0]["messages"]


@pytest.mark.parametrize("synchronous", [False, True], ids=["async", "sync"])
def test_a_chain_of_two_goes_on_from_the_result_and_what_it_asked_is_not_asked_again(
    tmp_path: Path, synchronous: bool
) -> None:
    desk = Desk()

    def until_both_were_called(number: int) -> None:
        if number == 0:
            assert desk.called("search").wait(WAIT)
            assert desk.called("advice").wait(WAIT), "the second follows the first before anybody asked"

    with scene(
        tmp_path,
        steps(SEARCH, ADVICE, wait=until_both_were_called),
        steps(SEARCH, ADVICE),
        desk=desk,
        samples=6,  # 6/7 twice is enough for the policy, 3/4 twice would not be
    ) as s:
        assert play(s, synchronous=synchronous) == "Hotel Sole / Hotel Sole is quiet"
        assert sorted(s.hits()) == [("advice", "draft"), ("search", "draft")]
        assert desk.calls == ["search", "advice"]
        depths = {event.facts["depth"] for event in s.log.of(EventKind.LAUNCHED)}
        assert len(depths) == 2
        questions = {json.dumps(body["messages"]) for body in s.asked("small")}
    # At first, after one result, and after two: of what the turns ask again the chain has the answer.
    assert len(questions) == 3
    assert s.draft.spent.asked == 18


def test_a_value_that_only_a_result_has_makes_the_call_tainted(tmp_path: Path) -> None:
    policy = POLICY.replace("  advice: {effect: read_only, destinations: {host: advice.example}}\n", "")
    policy += "  advice: {effect: read_only}\n"
    with scene(tmp_path, steps(SEARCH, ADVICE), steps(SEARCH, ADVICE), policy=policy) as s:
        play(s)
        said = [event.candidate for event in s.log.of(EventKind.PROPOSED) if event.candidate is not None]
    of_draft = {one.call.tool: one.tainted for one in said if one.predictor == "draft"}
    assert of_draft["advice"] is True
    assert of_draft.get("search", False) is False


def test_what_the_user_said_is_not_tainted(tmp_path: Path) -> None:
    desk = Desk()

    def until_it_was_called(number: int) -> None:
        assert number or desk.called("search").wait(WAIT)

    with scene(tmp_path, steps(SEARCH, wait=until_it_was_called), steps(SEARCH), desk=desk) as s:
        play(s)
        launched = [event.candidate for event in s.log.of(EventKind.LAUNCHED)]
    assert [one.tainted for one in launched if one is not None] == [False]


@pytest.mark.parametrize(
    ("call", "policy", "cause"),
    [
        (
            SEARCH,
            POLICY.replace("effect: read_only,", "effect: read_only, predictors: [partial_call],"),
            "predictor",
        ),
        (("book", {"hotel": "Rome"}), POLICY, "predictor"),
        (("charge", {"hotel": "Rome"}), POLICY, "policy"),
        (("cancel", {"booking": "Rome"}), POLICY, "policy"),
    ],
    ids=["read for others only", "write", "needs a person", "compensator"],
)
def test_what_the_policy_does_not_give_to_drafts_is_not_started(
    tmp_path: Path, call: tuple[str, dict[str, Any]], policy: str, cause: str
) -> None:
    watch = Watch()
    big = steps(wait=watch.before_anything(call[0]))
    with scene(tmp_path, big, steps(call), policy=policy, watch=watch) as s:
        assert play(s) == ""
        assert s.withheld()[call[0]] == cause
        assert s.desk.calls == []
        assert not s.log.of(EventKind.LAUNCHED)


def test_a_write_is_made_early_where_the_policy_names_the_draft_and_undone_if_wrong(tmp_path: Path) -> None:
    policy = POLICY.replace("    speculate: now\n", "    speculate: now\n    predictors: [draft]\n")
    desk = Desk()

    def until_it_was_booked(number: int) -> None:
        assert desk.called("book").wait(WAIT)

    with scene(
        tmp_path,
        steps(wait=until_it_was_booked),
        steps(("book", {"hotel": "Rome"})),
        policy=policy,
        desk=desk,
    ) as s:
        play(s)
    assert desk.calls == ["book", "cancel"]


def test_a_draft_that_hangs_is_given_up_when_the_turn_is_over(tmp_path: Path) -> None:
    with scene(tmp_path, steps(SEARCH), lambda _messages: Reply(hang_after=0)) as s:
        assert play(s) == "Hotel Sole"
        assert ("search", "draft") not in s.hits()
        spent = s.draft.spent
        assert spent.asked == spent.late > 0
        assert spent.estimated_tokens == spent.input_tokens > 0, "what was given up is paid for as well"


def test_a_draft_that_fails_leaves_the_agent_alone(tmp_path: Path) -> None:
    broken = Reply(error=ScriptedError(status=500, message="out of order"))
    with scene(tmp_path, steps(SEARCH), lambda _messages: broken) as s:
        assert play(s) == "Hotel Sole"
        assert s.draft.spent.failed + s.draft.spent.late == s.draft.spent.asked
        assert s.desk.calls == ["search"]


def test_a_draft_that_floods_starts_no_more_than_is_allowed(tmp_path: Path) -> None:
    flood = tuple(CallPlan("search", {"city": f"City {number}"}) for number in range(1_000))
    watch = Watch()
    big = steps(wait=watch.before_anything("search"))
    with scene(tmp_path, big, lambda _messages: Reply(calls=flood), breadth=50, watch=watch) as s:
        play(s)
        proposed = [event for event in s.log.of(EventKind.PROPOSED) if event.candidate is not None]
    assert 0 < len(proposed) <= 16, "what is listened to of one predictor"


def test_nothing_of_the_draft_is_seen_in_the_stream_the_callbacks_or_the_usage(tmp_path: Path) -> None:
    desk = Desk()

    def until_it_was_called(number: int) -> None:
        assert number or desk.called("search").wait(WAIT)

    class Ear(BaseCallbackHandler):
        models: list[str]

        def __init__(self) -> None:
            self.models = []

        def on_chat_model_start(self, serialized: Any, messages: Any, **told: Any) -> None:
            self.models.append(told["invocation_params"]["model"])

    ear = Ear()
    with scene(tmp_path, steps(SEARCH, wait=until_it_was_called), steps(SEARCH), desk=desk) as s:

        async def ask() -> list[Any]:
            streamed = []
            async with s.rt, asyncio.timeout(WAIT):
                async for piece, _told in s.agent.astream(
                    {"messages": [("user", QUESTION)]}, {"callbacks": [ear]}, stream_mode="messages"
                ):
                    streamed.append(piece)
            return streamed

        with get_usage_metadata_callback() as usage:
            streamed = asyncio.run(ask())
        calls = [
            call for piece in streamed for call in getattr(piece, "tool_call_chunks", ()) if call["name"]
        ]
        assert len(calls) == 1, "the agent's own"
        assert set(ear.models) == {"big"}
        assert set(usage.usage_metadata) == {"big"}
        assert s.draft.spent.answered >= 3
        turns = s.log.of(EventKind.TURN_STARTED)
        assert len(turns) == len(s.asked("big")) == 2, "what the draft says is no turn of the agent"
    assert s.hits() == [("search", "draft")]


def test_in_a_runtime_that_is_off_nothing_is_asked(tmp_path: Path) -> None:
    with scene(tmp_path, steps(SEARCH), steps(SEARCH)) as s:
        off = sf.Runtime(
            tmp_path / "policy.yaml",
            tools=s.tools,
            journal=f"sqlite:///{tmp_path / 'off.db'}",
            predictors=[s.draft],
            mode="off",
        )
        s.rt.close()
        s.rt = off
        assert play(s) == "Hotel Sole"
        assert s.draft.spent.asked == 0
