"""Workflows that run: what they leave, what they skip, whom they ask, and that reads start early."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AnyMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.message import add_messages
from langgraph.types import Command
from pydantic import BaseModel

import specflow as sf
from specflow.errors import ConfigurationError, RefusedError
from specflow.graph.workflow.expression import NotThereError
from specflow.graph.workflow.results import StepError, StepRejectedError
from specflow.journal.event import EventKind
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  search: {effect: read_only}
  weather: {effect: read_only}
  slow: {effect: read_only}
  fails: {effect: read_only}
  book: {effect: compensatable, compensate: {tool: cancel, with: {booking_id: result.booking_id}}}
  cancel: {effect: confirmation_required, confirm: host, compensator_for: [book]}
  pay: {effect: confirmation_required, confirm: ask}
  wipe: {effect: deny}
"""
YES, NO = {"type": "approve"}, {"type": "reject", "message": "too dear"}


class Trip(BaseModel):
    city: str
    passenger: str = "Ada"
    cities: list[str] = []
    limit: float = 1000
    booking: dict[str, Any] | None = None


class Desk:
    """Tools in both colours that write down what happened, in order."""

    def __init__(self, *, asynchronous: bool) -> None:
        self.log: list[str] = []
        self.asynchronous = asynchronous
        self.bookings: dict[str, str] = {}

    def tool(self, name: str, seconds: float = 0.0) -> Any:
        """The named body, as a coroutine function or a plain one of the same signature."""
        body = getattr(self, f"_{name}")
        if not self.asynchronous:

            def waiting(*args: Any, **kwargs: Any) -> Any:
                time.sleep(seconds)
                return body(*args, **kwargs)

        else:

            async def waiting(*args: Any, **kwargs: Any) -> Any:
                await asyncio.sleep(seconds)
                return body(*args, **kwargs)

        waiting.__name__ = name
        waiting.__doc__ = body.__doc__
        waiting.__annotations__ = body.__annotations__
        waiting.__signature__ = __import__("inspect").signature(body)  # type: ignore[union-attr]  # functions take any attribute
        return waiting

    def _search(self, city: str) -> list[dict[str, Any]]:
        """Flights to a city."""
        self.log.append(f"search {city}")
        return [{"id": f"{city}-1", "price": 120.5}, {"id": f"{city}-2", "price": 80}]

    def _weather(self, city: str) -> dict[str, str]:
        """The weather of a city."""
        self.log.append(f"weather {city}")
        return {"sky": "rain" if city == "Bergen" else "sun"}

    def _slow(self, city: str) -> dict[str, str]:
        """Something slow."""
        self.log.append(f"slow {city}")
        return {"slow": city}

    def _fails(self, city: str) -> str:
        """Never works."""
        raise OSError(f"no line to {city}")

    def _book(self, flight: str, passenger: str) -> dict[str, str]:
        """Book a seat."""
        self.log.append(f"book {flight}")
        self.bookings[flight] = passenger
        return {"booking_id": flight}

    def _cancel(self, booking_id: str) -> dict[str, bool]:
        """Cancel a booking."""
        self.log.append(f"cancel {booking_id}")
        self.bookings.pop(booking_id, None)
        return {"cancelled": True}

    def _pay(self, booking_id: str, amount: float) -> str:
        """Pay for a booking."""
        self.log.append(f"pay {booking_id} {amount:g}")
        return "paid"

    def _wipe(self) -> str:
        """Wipe everything."""
        self.log.append("wipe")
        return "gone"


def cheapest(flights: list[dict[str, Any]]) -> dict[str, Any]:
    return min(flights, key=lambda flight: float(flight["price"]))


@pytest.fixture(params=["async", "sync"])
def desk(request: pytest.FixtureRequest) -> Desk:
    return Desk(asynchronous=request.param == "async")


class Stage:
    """Compiles a workflow over a file, and runs it in the colour of its desk."""

    def __init__(self, folder: Path, desk: Desk) -> None:
        self.folder = folder
        self.desk = desk
        self.events = EventLog()
        self.apps: list[Any] = []

    def flow(self, **options: Any) -> sf.Workflow:
        file = self.folder / "policy.yaml"
        file.write_text(POLICY)
        return sf.Workflow(
            "trip", **{"state": Trip, "policy": file, "tools": [self.desk.tool("cancel")], **options}
        )

    def compile(self, flow: sf.Workflow, **options: Any) -> Any:
        made = flow.compile(
            journal=f"sqlite:///{self.folder / 'journal.db'}",
            checkpointer=InMemorySaver(),
            durability="process",
            telemetry=False,
            observers=[self.events],
            **options,
        )
        self.apps.append(made)
        return made

    def run(self, app: Any, given: Any, thread: str = "t") -> dict[str, Any]:
        config = {"configurable": {"thread_id": thread}}
        if not self.desk.asynchronous:
            found: dict[str, Any] = app.invoke(given, config)
            return found

        async def main() -> Any:
            return await app.ainvoke(given, config)

        answer: dict[str, Any] = self.loop.run(main())
        return answer

    def close(self) -> None:
        for app in self.apps:
            if self.desk.asynchronous:
                self.loop.run(app.specflow.aclose())
            else:
                app.specflow.close()
        self.loop.close()

    @property
    def loop(self) -> asyncio.Runner:
        if not hasattr(self, "_loop"):
            self._loop = asyncio.Runner()
        return self._loop


@pytest.fixture
def stage(tmp_path: Path, desk: Desk) -> Iterator[Stage]:
    made = Stage(tmp_path, desk)
    yield made
    made.close()


def value(out: dict[str, Any], step: str) -> Any:
    return out["steps"][step]["value"]


def test_steps_take_from_each_other(stage: Stage) -> None:
    flow, desk = stage.flow(), stage.desk
    search = flow.call("search", desk.tool("search"), city=flow.state.city)
    best = flow.step("best", cheapest, flights=search)
    booked = flow.call(
        "booked", desk.tool("book"), flight=best.id, passenger=flow.state.passenger, into="booking"
    )
    flow.step("told", lambda text: text.upper(), text=booked.booking_id)
    out = stage.run(stage.compile(flow), {"city": "Rome"})
    assert desk.log == ["search Rome", "book Rome-2"]
    assert value(out, "told") == "ROME-2"
    assert out["booking"] == {"booking_id": "Rome-2"}
    assert out["passenger"] == "Ada"
    assert desk.bookings == {"Rome-2": "Ada"}


def test_a_second_run_of_the_conversation_starts_afresh(stage: Stage) -> None:
    flow, desk = stage.flow(), stage.desk
    search = flow.call("search", desk.tool("search"), city=flow.state.city)
    sky = flow.call(
        "sky", desk.tool("weather"), city=flow.state.city, when=search[0].price > flow.state.limit
    )
    flow.step("end", lambda sky: sky, sky=flow.either(sky.sky, "unknown"))
    app = stage.compile(flow)
    assert value(stage.run(app, {"city": "Bergen", "limit": 1}), "end") == "rain"
    again = stage.run(app, {"city": "Rome", "limit": 1000})
    assert value(again, "end") == "unknown"
    assert again["steps"]["sky"] == {"skipped": "search[0].price > state.limit does not hold"}


def test_what_takes_from_a_skipped_step_is_skipped(stage: Stage) -> None:
    flow, desk = stage.flow(), stage.desk
    sky = flow.call("sky", desk.tool("weather"), city=flow.state.city)
    with flow.when(sky.sky == "sun") as fine:
        beach = flow.step("beach", lambda: "beach")
        flow.step("more", lambda place: place + "!", place=beach)
    with fine.otherwise():
        museum = flow.step("museum", lambda: "museum")
    flow.step("go", lambda place: place, place=flow.either(beach, museum))
    app = stage.compile(flow)
    rome, bergen = stage.run(app, {"city": "Rome"}, "a"), stage.run(app, {"city": "Bergen"}, "b")
    assert (value(rome, "go"), value(rome, "more")) == ("beach", "beach!")
    assert value(bergen, "go") == "museum"
    assert "skipped" in bergen["steps"]["beach"]
    assert bergen["steps"]["more"] == {"skipped": "sky.sky == 'sun' does not hold"}


def test_a_map_keeps_the_order_and_may_be_empty(stage: Stage) -> None:
    flow, desk = stage.flow(), stage.desk
    skies = flow.map("skies", desk.tool("weather", 0.01), over=flow.state.cities, city=flow.each, at_once=2)
    flow.step("all", lambda skies: [sky["sky"] for sky in skies], skies=skies)
    app = stage.compile(flow)
    out = stage.run(app, {"city": "x", "cities": ["Rome", "Bergen", "Oslo"]}, "a")
    assert value(out, "all") == ["sun", "rain", "sun"]
    assert value(stage.run(app, {"city": "x"}, "b"), "all") == []


def test_a_map_that_asks_asks_one_after_the_other(stage: Stage) -> None:
    flow, desk = stage.flow(), stage.desk
    flow.map("paid", desk.tool("pay"), over=flow.state.cities, booking_id=flow.each, amount=5)
    app = stage.compile(flow)
    out = stage.run(app, {"city": "x", "cities": ["A", "B"]})
    assert [item.value["args"]["booking_id"] for item in out["__interrupt__"]] == ["A"]
    first = Command(resume={out["__interrupt__"][0].id: YES})
    for _ in range(2):  # sent twice, it is an answer to the first question only
        out = stage.run(app, first)
        assert [item.value["args"]["booking_id"] for item in out["__interrupt__"]] == ["B"]
    out = stage.run(app, Command(resume=YES))
    assert value(out, "paid") == ["paid", "paid"]
    assert desk.log == ["pay A 5", "pay B 5"]


def paying(stage: Stage, **options: Any) -> Any:
    flow, desk = stage.flow(**options), stage.desk
    booked = flow.call("booked", desk.tool("book"), flight="F", passenger=flow.state.passenger)
    flow.call("paid", desk.tool("pay"), booking_id=booked.booking_id, amount=flow.state.limit)
    return stage.compile(flow)


def test_a_person_approves_edits_answers_or_refuses(stage: Stage) -> None:
    app, desk = paying(stage), stage.desk
    for number, (resume, paid) in enumerate(
        [
            (YES, ["pay F 7"]),
            (
                {"type": "edit", "edited_action": {"name": "pay", "args": {"booking_id": "F", "amount": 3}}},
                ["pay F 3"],
            ),
            ({"type": "respond", "message": "by cheque"}, []),
        ]
    ):
        desk.log.clear()
        out = stage.run(app, {"city": "x", "limit": 7}, f"t{number}")
        assert desk.log == ["book F"]
        (asked,) = out["__interrupt__"]
        assert (asked.value["name"], asked.value["args"]) == ("pay", {"booking_id": "F", "amount": 7.0})
        out = stage.run(app, Command(resume=resume), f"t{number}")
        assert desk.log == ["book F", *paid]
        assert value(out, "paid") == ("paid" if paid else "by cheque")
    stage.run(app, {"city": "x"}, "no")
    with pytest.raises(StepRejectedError, match=r"a person said no to pay: .*too dear"):
        stage.run(app, Command(resume=NO), "no")


def test_an_answer_of_the_wrong_form_can_be_given_again(stage: Stage) -> None:
    app, desk = paying(stage, on_failure="compensate"), stage.desk
    stage.run(app, {"city": "x"})
    with pytest.raises(ValueError, match="type"):
        stage.run(app, Command(resume={"what": "ever"}))
    assert desk.log == ["book F"]
    assert value(stage.run(app, Command(resume=YES)), "paid") == "paid"
    assert desk.log == ["book F", "pay F 1000"]


def test_a_human_step_shows_and_checks(stage: Stage) -> None:
    class Choice(BaseModel):
        flight: str

    flow, desk = stage.flow(), stage.desk
    search = flow.call("search", desk.tool("search"), city=flow.state.city)
    chosen = flow.human("chosen", "Which one?", show={"flights": search}, output=Choice)
    flow.call("booked", desk.tool("book"), flight=chosen.flight, passenger=flow.state.passenger)
    app = stage.compile(flow)
    out = stage.run(app, {"city": "Rome"})
    (asked,) = out["__interrupt__"]
    assert asked.value["question"] == "Which one?"
    assert asked.value["show"]["flights"][1]["id"] == "Rome-2"
    assert asked.response_schema["required"] == ["flight"]
    with pytest.raises(ValueError, match="flight"):
        stage.run(app, Command(resume={"flght": "x"}))
    stage.run(app, Command(resume={"flight": "Rome-1"}))
    assert desk.bookings == {"Rome-1": "Ada"}


def test_another_workflow_as_a_step(stage: Stage) -> None:
    desk = stage.desk

    class City(TypedDict):
        name: str

    inner = sf.Workflow("look", state=City)
    sky = inner.call("sky", desk.tool("weather"), city=inner.state.name)
    inner.step("word", lambda sky: sky.upper(), sky=sky.sky)
    flow = stage.flow()
    look = flow.flow("look", inner, name=flow.state.city)
    flow.step("end", lambda word: word, word=look.word)
    out = stage.run(stage.compile(flow), {"city": "Bergen"})
    assert value(out, "end") == "RAIN"
    with pytest.raises(AttributeError, match="no field 'wrd'; did you mean 'word'"):
        _ = look.wrd


def test_an_agent_works_on_what_it_is_given(stage: Stage) -> None:
    class Choice(BaseModel):
        flight: str
        price: float

    def script(messages: list[dict[str, Any]]) -> Reply:
        text = str(messages[-1]["content"])
        if "Rome-2" not in text:
            return (
                Reply(calls=(CallPlan("weather", {"city": "Rome"}),))
                if len(messages) < 3
                else Reply(text="ok")
            )
        return Reply(calls=(CallPlan("Choice", {"flight": "Rome-2", "price": 80}),))

    flow, desk = stage.flow(), stage.desk
    model = ScriptedChatModel(script=script, speed=None)
    said = flow.agent("said", model=model, tools=[desk.tool("weather")], prompt="What is the weather?")
    search = flow.call("search", desk.tool("search"), city=flow.state.city)
    choice = flow.agent("choice", model=model, given=[search], prompt="Choose.", output=Choice, after=said)
    flow.call("booked", desk.tool("book"), flight=choice.flight, passenger=flow.state.passenger)
    out = stage.run(stage.compile(flow), {"city": "Rome"})
    assert value(out, "said") == "ok"
    assert value(out, "choice") == {"flight": "Rome-2", "price": 80.0}
    assert desk.bookings == {"Rome-2": "Ada"}
    with pytest.raises(AttributeError, match="no field 'fligt'"):
        _ = choice.fligt


def test_an_agent_without_a_prompt_reads_the_conversation(stage: Stage) -> None:
    class Talk(TypedDict):
        messages: Annotated[list[AnyMessage], add_messages]

    def script(messages: list[dict[str, Any]]) -> Reply:
        return Reply(text=f"you said {messages[-1]['content']}")

    flow = stage.flow(state=Talk)
    flow.agent("said", model=ScriptedChatModel(script=script, speed=None))
    out = stage.run(stage.compile(flow), {"messages": [("user", "hello")]})
    assert value(out, "said") == "you said hello"
    assert len(out["messages"]) == 1


def test_a_read_starts_as_soon_as_its_arguments_exist(stage: Stage) -> None:
    """`sky` is of the second round, and begins while the slow step of the first still runs."""
    flow, desk = stage.flow(), stage.desk
    slow = flow.call("slow", desk.tool("slow", 0.4), city=flow.state.city)
    quick = flow.step("quick", lambda: "Bergen")
    sky = flow.call("sky", desk.tool("weather", 0.05), city=quick)
    flow.step("end", lambda slow, sky: [slow, sky], slow=slow, sky=sky)
    out = stage.run(stage.compile(flow), {"city": "x"})
    assert value(out, "end") == [{"slow": "x"}, {"sky": "rain"}]
    assert desk.log == ["weather Bergen", "slow x"]
    ended = [event for event in stage.events.events if event.kind is EventKind.CALL_ENDED and event.call]
    assert {event.call.tool: event.outcome for event in ended if event.call}["weather"] == "hit"


def test_a_read_of_a_branch_not_taken_is_dropped(stage: Stage) -> None:
    flow, desk = stage.flow(), stage.desk
    slow = flow.call("slow", desk.tool("slow", 0.2), city=flow.state.city)
    sky = flow.call("sky", desk.tool("weather"), city="Oslo", when=slow.slow == "y")
    flow.step("end", lambda sky: sky, sky=flow.either(sky, None))
    out = stage.run(stage.compile(flow), {"city": "x"})
    assert value(out, "end") is None
    assert "skipped" in out["steps"]["sky"]


def test_a_step_that_fails_raises_its_own_error(stage: Stage) -> None:
    flow, desk = stage.flow(), stage.desk
    flow.call("line", desk.tool("fails"), city=flow.state.city)
    with pytest.raises(OSError, match="no line to Rome"):
        stage.run(stage.compile(flow), {"city": "Rome"})


def test_what_has_no_plain_form_is_said(stage: Stage) -> None:
    flow = stage.flow()
    flow.step("odd", object)
    with pytest.raises(StepError, match="odd left object, which is no plain data"):
        stage.run(stage.compile(flow), {"city": "x"})


def test_what_is_not_there_is_said_with_the_step(stage: Stage) -> None:
    flow = stage.flow()
    one = flow.step("one", lambda: {"a": 1})
    flow.step("two", lambda b: b, b=one.b)
    with pytest.raises(NotThereError, match=r"two: one has no 'b': it is \{'a': 1\}"):
        stage.run(stage.compile(flow), {"city": "x"})


def test_a_wrong_start_is_refused_with_every_problem(stage: Stage) -> None:
    flow = stage.flow()
    flow.step("one", lambda: 1)
    with pytest.raises(ConfigurationError, match=r"trip cannot be started like this: city: .*limit: "):
        stage.run(stage.compile(flow), {"limit": "much"})


def test_off_is_off(stage: Stage) -> None:
    flow, desk = stage.flow(), stage.desk
    search = flow.call("search", desk.tool("search"), city=flow.state.city)
    flow.call("booked", desk.tool("book"), flight=search[0].id, passenger="Bob")
    out = stage.run(stage.compile(flow, mode="off"), {"city": "Rome"})
    assert value(out, "booked") == {"booking_id": "Rome-1"}
    assert not stage.events.events


def test_a_denied_tool_cannot_be_compiled_in(stage: Stage) -> None:
    flow, desk = stage.flow(), stage.desk
    flow.call("gone", desk.tool("wipe"))
    with pytest.raises(ConfigurationError, match=r"gone: the policy denies wipe"):
        stage.compile(flow)
    assert RefusedError.code == "refused"
