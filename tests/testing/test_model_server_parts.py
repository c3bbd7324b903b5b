"""The parts of the model server that need no network: tokens, pieces, pace, usage."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.prediction.chunk import ChunkKind
from specflow.testing.model_server import CallPlan, Reply, Usage, count_tokens, split_tokens
from specflow.testing.model_server.pace import Pace
from specflow.testing.model_server.pieces import Ending, Speech, speak
from specflow.testing.model_server.wire import message

replies = st.builds(
    Reply,
    reasoning=st.text(max_size=40),
    text=st.text(max_size=40),
    calls=st.lists(
        st.builds(
            CallPlan,
            st.text(min_size=1, max_size=8),
            st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6), max_size=3),
            fragments=st.none() | st.integers(1, 9),
        ),
        max_size=3,
    ).map(tuple),
    order=st.permutations(["reasoning", "text", "calls"]).map(tuple),
)


def say(reply: Reply, *, inline: bool = False) -> Speech:
    return speak(reply, number=0, prompt_tokens=3, inline=inline)


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text
    assert all(split_tokens(text))


@given(replies, st.booleans())
def test_the_pieces_of_a_reply_are_the_reply(reply: Reply, inline: bool) -> None:
    speech = say(reply, inline=inline)
    said = message(speech)
    if inline and reply.reasoning:
        think = f"<think>{reply.reasoning}</think>"
        first, second = (
            (think, reply.text)
            if reply.order.index("reasoning") < reply.order.index("text")
            else (reply.text, think)
        )
        assert said["content"] == first + second
    else:
        assert (said["content"] or "") == reply.text
        assert said.get("reasoning_content", "") == reply.reasoning
    calls = [call["function"] for call in said.get("tool_calls", [])]
    assert [(call["name"], call["arguments"]) for call in calls] == [
        (plan.name, plan.args_text) for plan in reply.calls
    ]
    assert speech.ending is Ending.FINISH
    assert speech.whole == sum(piece.tokens for piece in speech.pieces)
    assert all(piece.tokens > 0 for piece in speech.pieces)


@given(replies, st.integers(0, 60))
def test_a_cut_reply_says_at_most_so_many_tokens_and_a_prefix(reply: Reply, limit: int) -> None:
    cut = Reply(
        reasoning=reply.reasoning, text=reply.text, calls=reply.calls, order=reply.order, die_after=limit
    )
    whole, part = say(reply), say(cut)
    assert sum(piece.tokens for piece in part.pieces) <= limit
    assert part.pieces == whole.pieces[: len(part.pieces)]
    assert part.ending is Ending.DIE
    assert part.whole == whole.whole


def test_fragments_can_be_given_exactly() -> None:
    speech = say(Reply(calls=(CallPlan("f", '{"a":1}', fragments=('{"a"', ":1}")),)))
    assert [piece.text for piece in speech.pieces] == ["", '{"a"', ":1}"]
    assert {piece.kind for piece in speech.pieces} == {ChunkKind.TOOL_CALL}


def test_usage_is_counted_where_it_is_not_scripted() -> None:
    reply = Reply(reasoning="one two", text="three", usage=Usage(completion_tokens=40))
    assert say(reply).usage == Usage(prompt_tokens=3, completion_tokens=40, reasoning_tokens=2)
    assert say(Reply(text="one two three")).usage.completion_tokens == count_tokens("one two three") == 3


def test_seconds_are_spread_over_the_tokens_and_win_over_pace() -> None:
    timing = Pace(tokens_per_second=1.0).timing(Reply(seconds=6.0, first_token=2.0), 8)
    assert (timing.start, timing.due(0), timing.due(4), timing.due(8)) == (2.0, 2.0, 4.0, 6.0)


def test_pace_and_first_token_of_the_reply_win_over_those_of_the_server() -> None:
    server = Pace(tokens_per_second=10.0, first_token=1.0)
    assert server.timing(Reply(), 20).due(20) == pytest.approx(3.0)
    assert server.timing(Reply(pace=20.0, first_token=0.0), 20).due(20) == pytest.approx(1.0)
    assert server.timing(Reply(pace=math.inf, first_token=0.0), 20).due(20) == 0.0


def test_a_reply_without_a_token_takes_its_seconds_too() -> None:
    assert Pace().timing(Reply(seconds=4.0), 0).due(0) == 4.0


@given(st.floats(0.1, 100), st.floats(0, 100), st.integers(1, 1000))
def test_speed_divides_every_time(speed: float, seconds: float, tokens: int) -> None:
    reply = Reply(seconds=seconds, first_token=seconds / 3)
    assert Pace(speed=speed).timing(reply, tokens).due(tokens) == pytest.approx(seconds / speed)
    assert Pace(speed=None).timing(reply, tokens).due(tokens) == 0.0
