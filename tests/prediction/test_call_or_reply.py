"""Whether the message will call a tool: what moves the figure, and that only the text does."""

from __future__ import annotations

import pytest

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import TurnContext
from specflow.prediction.sniffer import ReasoningSniffer, SnifferListener

WEATHER = ToolSpec(
    name="get_weather",
    description="Get the weather of a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def listener() -> SnifferListener:
    return ReasoningSniffer().listen(TurnContext(tools=ToolRegistry([WEATHER])))


def after(*said: tuple[ChunkKind, str], size: int = 1000) -> float:
    ear = listener()
    for kind, text in said:
        for at in range(0, len(text), size):
            ear.hear(Chunk(kind=kind, text=text[at : at + size], stream="1"))
    ear.end()
    return ear.will_call


THOUGHT, TEXT = ChunkKind.REASONING, ChunkKind.TEXT
CALLS = (THOUGHT, "The user asks about Lisbon. I should get the weather of Lisbon.")
VAGUE = (THOUGHT, "The user asks about Lisbon. There is much to say about it.")
REPLY = (TEXT, "Lisbon is warm in December. You can swim there. Would you like to know more?")


def test_an_announcement_makes_a_call_likelier_and_a_question_to_the_user_a_reply() -> None:
    assert after(CALLS) > 0.5 > after(VAGUE) > after(VAGUE, REPLY)
    assert after(REPLY) < 0.1
    assert after(CALLS) > after(CALLS, REPLY)


def test_it_is_told_anew_with_every_sentence() -> None:
    ear = listener()
    figures = [ear.will_call]
    for sentence in ("Hello. ", "Let me get the weather of Lisbon. ", "Would you like that? "):
        ear.hear(Chunk(kind=TEXT, text=sentence))
        figures.append(ear.will_call)
    assert all(0.0 < figure < 1.0 for figure in figures)
    assert figures[2] > figures[1]
    assert figures[3] < figures[2]


@pytest.mark.parametrize("size", [1, 2, 7, 30])
def test_only_the_text_counts_not_its_pieces(size: int) -> None:
    assert after(CALLS, REPLY, size=size) == after(CALLS, REPLY)


def test_another_attempt_begins_anew() -> None:
    ear = listener()
    fresh = ear.will_call
    ear.hear(Chunk(kind=TEXT, text=REPLY[1] + " ", stream="a"))
    assert ear.will_call != fresh
    ear.hear(Chunk(kind=TEXT, text="H", stream="b"))
    assert ear.will_call == fresh
