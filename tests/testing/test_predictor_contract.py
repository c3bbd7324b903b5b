"""Every predictor that is shipped keeps to the contract, and the contract finds one that does not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from specflow.bench.draft import Draft
from specflow.bench.regex_sniffer import RegexSniffer
from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.graph.draft.calls import DraftModel
from specflow.graph.workflow.ahead import DataFlow
from specflow.prediction.candidate import Candidate, Retraction
from specflow.prediction.chunk import Chunk
from specflow.prediction.history.lesson import Lesson, Moment, train
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.history.predictor import HistoryPredictor
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.predictor import AnyPredictor, HistoryItem, PastCall, TurnContext
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.explore import run as on_virtual_time
from specflow.testing.foreseeing import Foreseeing
from specflow.testing.model_server import CallPlan, Reply, ScriptedError
from specflow.testing.predictor_contract import check_predictor


async def not_run(call: Call, context: Any) -> Any:
    raise AssertionError("nothing is run")


def spec(name: str, description: str, **properties: str) -> ToolSpec:
    return ToolSpec(
        name=name,
        description=description,
        parameters={
            "type": "object",
            "properties": {key: {"type": kind} for key, kind in properties.items()},
            "required": list(properties),
            "additionalProperties": False,
        },
        runner=not_run,
    )


TOOLS = ToolRegistry(
    [
        spec("get_order", "Look up an order.", order_id="string"),
        spec("find_hotels", "Search for hotels in a city.", city="string", nights="integer"),
        spec("cancel_order", "Cancel an order.", order_id="string"),
    ]
)
ORDER = Call(tool="get_order", args={"order_id": "A1"})


def lesson(number: int) -> Lesson:
    """A conversation in which an order is looked up as soon as it is named."""
    asked = HistoryItem(role="user", text=f"Please see to it: A-{number}, in Oslo, on 2026-05-20.")
    call = Call(tool="get_order", args={"order_id": f"A-{number}"})
    past = PastCall(tool=call.tool, args=call.plain_args(), result="{}")
    moments = [
        Moment(new=(asked,), calls=(call,)),
        Moment(new=(HistoryItem(role="tool", text="{}", call=past),), calls=()),
    ]
    return Lesson(moments=moments, tools=TOOLS, task=str(number))


LEARNED = train(
    [lesson(number) for number in range(1_100, 1_115)], early=lambda name: name == "get_order"
).as_json()


def drafted(*replies: Reply) -> DraftModel:
    return DraftModel(ScriptedChatModel(script=lambda _messages: replies[0]), seconds=5)


ASKS = Reply(calls=(CallPlan("get_order", {"order_id": "A1"}), CallPlan("find_hotels", {"city": "Oslo"})))
SHIPPED: dict[str, tuple[Callable[[], AnyPredictor], bool]] = {
    "sniffer": (ReasoningSniffer, True),
    "partial call": (PartialCallPredictor, True),
    "history": (lambda: HistoryPredictor(Patterns.from_json(LEARNED)), True),
    "history that knows nothing": (HistoryPredictor, False),
    "draft": (lambda: drafted(ASKS), True),
    "draft that is broken": (lambda: drafted(Reply(error=ScriptedError(status=500, message="no"))), False),
    "draft in miniature": (lambda: Draft([ORDER], 0.1), True),
    "steps of a workflow": (DataFlow, False),
    "foreseeing": (lambda: Foreseeing(lambda _context: [ORDER]), True),
}


@pytest.mark.parametrize("kind", SHIPPED)
def test_every_predictor_keeps_to_the_contract(kind: str) -> None:
    make, speaks = SHIPPED[kind]
    assert (on_virtual_time(check_predictor(make, TOOLS)) > 0) == speaks


# ------------------------------------------------------------------ what the contract finds

ONE = Candidate(call=ORDER, confidence=0.5, predictor="odd")


@dataclass
class Odd:
    """Foresees something else each time it is made anew, where it is told to."""

    said: Sequence[Any] = (ONE,)
    name: Any = "odd"

    async def foresee(self, context: TurnContext) -> Sequence[Any]:
        return list(self.said)


class Changing:
    name = "odd"

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        for item in context.history:
            if item.call is not None:
                item.call.args["x"] = 1
        return []


class Deaf:
    """Is not cancelled."""

    name = "odd"

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        end = asyncio.get_running_loop().time() + 20
        while (left := end - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue
        return []


@dataclass
class Ears:
    """Says what it is told to with the first chunk; `shared` counts the chunks of all turns."""

    said: Sequence[Any] = ()
    shared: list[Chunk] = field(default_factory=list)
    forgets: bool = True
    name: str = "odd"

    def listen(self, context: TurnContext) -> Ears:
        return Ears(self.said, [] if self.forgets else self.shared, self.forgets)

    def hear(self, chunk: Chunk) -> Iterable[Any]:
        self.shared.append(chunk)
        return self.said if len(self.shared) == 1 else ()


def fickle() -> Callable[[], AnyPredictor]:
    made: list[int] = []

    def make() -> AnyPredictor:
        made.append(1)
        return Odd([replace(ONE, confidence=0.5 / len(made))])

    return make


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "the sniffer of patterns that benches compare with": (RegexSniffer, "fit the tool's schema"),
    "nothing": (object, "listens, or foresees"),
    "nameless": (lambda: Odd(name=""), "has a name"),
    "named by a number": (lambda: Odd(name=7), "has a name"),
    "no candidate": (lambda: Odd(["get_order"]), "are candidates"),
    "retraction": (lambda: Odd([Retraction(call=ORDER, predictor="odd", reason="no")]), "are candidates"),
    "another's": (lambda: Odd([replace(ONE, predictor="draft")]), "by the predictor's name"),
    "too sure": (lambda: Odd([replace(ONE, confidence=1.5)]), "is a probability"),
    "NaN": (lambda: Odd([replace(ONE, confidence=math.nan)]), "is a probability"),
    "unknown tool": (lambda: Odd([replace(ONE, call=Call(tool="x"))]), "tools that there are"),
    "unfit": (lambda: Odd([replace(ONE, call=Call(tool="get_order"))]), "fit the tool's schema"),
    "in disorder": (
        lambda: Odd(
            [ONE, replace(ONE, confidence=0.9, call=Call(tool="cancel_order", args={"order_id": "A1"}))]
        ),
        "likeliest comes first",
    ),
    "twice": (lambda: Odd([ONE, ONE]), "foreseen twice"),
    "fickle": (fickle(), "the same guesses"),
    "changing": (Changing, "not its to change"),
    "not to be stopped": (Deaf, "stops"),
    "takes back what was not said": (
        lambda: Ears([Retraction(call=ORDER, predictor="odd", reason="no")]),
        "was proposed is taken back",
    ),
    "takes back what is another's": (
        lambda: Ears([ONE, Retraction(call=ORDER, predictor="sniffer", reason="no")]),
        "its own",
    ),
    "hears all turns as one": (lambda: Ears([ONE], forgets=False), "share nothing|says the same"),
}


@pytest.mark.parametrize("kind", BAD)
def test_the_contract_finds_what_is_wrong(kind: str) -> None:
    make, message = BAD[kind]
    with pytest.raises(AssertionError, match=message):
        on_virtual_time(check_predictor(make, TOOLS))


def test_what_is_no_proposal_is_said() -> None:
    with pytest.raises(TypeError, match="no proposal"):
        on_virtual_time(check_predictor(lambda: Ears(["get_order"]), TOOLS))


def test_one_that_says_nothing_is_fine() -> None:
    assert on_virtual_time(check_predictor(lambda: Odd([]), TOOLS)) == 0
