"""Learned trigger phrases: what is learned, when it counts, and what must never be learned or launched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.effects.annotate import Annotation
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.history.patterns import Patterns, PatternsError
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.prediction.trigger_lessons import MOST_WORDS
from specflow.prediction.triggers import LEAST, MOST, REPLY, Triggers
from specflow.prediction.words import letters, stem, word_set


def tool(name: str, description: str, effect: EffectClass, *parameters: str) -> ToolSpec:
    return ToolSpec(
        name=name,
        description=description,
        parameters={
            "type": "object",
            "properties": {parameter: {"type": "string"} for parameter in parameters},
            "required": list(parameters),
        },
        annotation=Annotation(effect=effect),
    )


READ, WRITE = EffectClass.READ_ONLY, EffectClass.COMPENSATABLE
TOOLS = ToolRegistry(
    [
        tool("parcel_position", "Position of a parcel.", READ, "order_id"),
        tool("get_invoice", "Get an invoice.", READ, "invoice_id"),
        tool("stop_parcel", "Stop a parcel.", WRITE, "order_id"),
    ]
)
SAYS = "The user is impatient. Let me check the whereabouts of {}."


def user(text: str) -> HistoryItem:
    return HistoryItem(role="user", text=text)


def past(name: str, args: dict[str, str], result: str) -> HistoryItem:
    return HistoryItem(role="tool", text=result, call=PastCall(tool=name, args=args, result=result))


def turn(sniffer: ReasoningSniffer, history: Sequence[HistoryItem], text: str) -> list[Proposal]:
    ear = sniffer.listen(TurnContext(tools=TOOLS, history=tuple(history)))
    pieces = [text[at : at + 9] for at in range(0, len(text), 9)]
    said = [p for piece in pieces for p in ear.hear(Chunk(kind=ChunkKind.REASONING, text=piece))]
    return [*said, *ear.end()]


def converse(
    sniffer: ReasoningSniffer, number: int, *, says: str = SAYS, calls: str | None = "parcel_position"
) -> list[Proposal]:
    """A conversation in which the model says that, and calls the tool; None: it replies, and is asked on."""
    order = f"A-{10_432 + number}"
    history = [user(f"Where is my order {order}?")]
    said = turn(sniffer, history, says.format(order))
    history += (
        [past(calls, {"order_id": order}, json.dumps({"order_id": order, "state": "onway"}))]
        if calls
        else [HistoryItem(role="assistant", text="It is on its way."), user("Really?")]
    )
    turn(sniffer, history, "It is clear by now what there is to say about it, so there it is. " * 3)
    return said


def calls_of(said: Sequence[Proposal]) -> list[str]:
    return [repr(one.call) for one in said if isinstance(one, Candidate)]


def test_words_after_which_a_tool_was_called_three_times_announce_it() -> None:
    sniffer = ReasoningSniffer(triggers=Triggers())
    for number in range(LEAST):
        assert calls_of(converse(sniffer, number)) == []
    found = converse(sniffer, 7)
    assert calls_of(found) == ['parcel_position({"order_id":"A-10439"})']
    (candidate,) = found
    assert isinstance(candidate, Candidate)
    assert 0.25 < candidate.confidence < 0.7  # less sure than of its own words
    assert calls_of(turn(sniffer, [], "I will not check the whereabouts of A-10500.")) == []
    back = turn(
        sniffer, [], "Let me check the whereabouts of A-1. No, I will not check the whereabouts of A-1."
    )
    assert [type(one) for one in back] == [Candidate, type(back[1])]
    assert not isinstance(back[1], Candidate)


def test_one_conversation_counts_once() -> None:
    sniffer = ReasoningSniffer(triggers=Triggers())
    history = [user("Where are my orders?")]
    for number in range(3 * LEAST):
        order = f"A-{number}"
        assert calls_of(turn(sniffer, history, SAYS.format(order))) == []
        history.append(past("parcel_position", {"order_id": order}, "{}"))


def test_words_that_often_lead_to_nothing_announce_nothing() -> None:
    sniffer = ReasoningSniffer(triggers=Triggers())
    for number in range(12):
        converse(sniffer, number, calls="parcel_position" if number % 3 else None)
    assert sniffer.triggers is not None
    counted = sniffer.triggers.as_json()["whereabout"]
    assert counted == {REPLY: 4, "parcel_position": 8}
    assert all(one.share < 0.66 for one in sniffer.triggers.rows())
    for number in range(12, 20):
        converse(sniffer, number, calls=None)
    assert sniffer.triggers.rows() == []
    assert calls_of(converse(sniffer, 99)) == []


def test_a_conversation_of_too_many_words_teaches_nothing() -> None:
    sniffer = ReasoningSniffer(triggers=Triggers())
    words = " ".join(
        "".join(chr(97 + number // 26**place % 26) for place in range(4)) for number in range(MOST_WORDS + 9)
    )
    for number in range(2 * LEAST):
        history = [user(f"Order A-{number}?"), past("get_invoice", {"invoice_id": "I-1"}, words)]
        turn(sniffer, history, SAYS.format(f"A-{number}"))
        turn(sniffer, [*history, past("parcel_position", {"order_id": f"A-{number}"}, "{}")], "So.")
    assert sniffer.triggers is not None
    assert len(sniffer.triggers) == 0


def test_it_can_be_switched_off() -> None:
    off = ReasoningSniffer()
    only_reads = ReasoningSniffer(triggers=Triggers(), learns=False)
    for sniffer in (off, only_reads):
        for number in range(LEAST + 2):
            assert calls_of(converse(sniffer, number)) == []
    assert only_reads.triggers is not None
    assert len(only_reads.triggers) == 0


def test_a_write_is_never_learned_to_be_meant() -> None:
    sniffer = ReasoningSniffer(triggers=Triggers())
    for number in range(3 * LEAST):
        assert calls_of(converse(sniffer, number, calls="stop_parcel")) == []
    assert sniffer.triggers is not None
    assert {one.tool for one in sniffer.triggers.rows()} == {"stop_parcel"}  # counted, and not gone by


def test_a_tool_of_which_nothing_says_that_it_reads_is_not_either() -> None:
    unknown = [
        tool("close_account", "Close an account.", READ, "order_id"),
        tool("get_account", "", READ, "order_id"),
    ]
    tools = ToolRegistry([replace(spec, annotation=None) for spec in unknown])
    for spec in tools:
        triggers = Triggers.from_json({"whereabout": {spec.name: 100}})
        ear = ReasoningSniffer(triggers=triggers).listen(TurnContext(tools=tools))
        said = ear.hear(Chunk(kind=ChunkKind.REASONING, text="Let me check the whereabouts of A-1. "))
        assert [one.call.tool for one in said] == (["get_account"] if spec.name == "get_account" else [])


VALUES = sorted(
    word_set("""
ada lovelace gift delivered red wallet A-10432 x@post.example Berlin berlin gold_card_7
""")
)
PLAIN = sorted(
    word_set("""
order position again gold card quickly parcel the of for Q-7 12 " Ada status
""")
)
SPOKEN = st.lists(st.sampled_from(VALUES + PLAIN), min_size=1, max_size=8).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(SPOKEN, min_size=LEAST, max_size=5), st.lists(st.sampled_from(VALUES), max_size=6))
def test_no_word_of_any_value_is_learned(spoken: list[str], values: list[str]) -> None:
    triggers = Triggers()
    sniffer = ReasoningSniffer(triggers=triggers)
    record = {f"field_{at}": value for at, value in enumerate(values)}
    for number, words in enumerate(spoken):
        history = [
            user(f"Order number {number}, please."),
            past("get_invoice", {"invoice_id": "I-1"}, json.dumps(record)),
        ]
        for _ in range(2):
            turn(sniffer, history, f"Let me check {words}. Then I need to look at {words}, {words}.")
            history.append(past("parcel_position", {"order_id": "A-1"}, json.dumps(record)))
        turn(sniffer, history, "It is clear by now what there is to say about it, so there it is. " * 3)
    written = {word for phrase in triggers.as_json() for word in phrase.split()}
    learned = {word for phrase in triggers._counts for word in phrase.split()}
    assert written <= learned
    assert learned.isdisjoint(stem(word) for value in values for word in letters(value.lower()))
    assert all(word.isalpha() and word.islower() for word in learned)


WORDS = sorted(
    word_set("""
check the whereabouts parcel stop invoice of A-10432 it not now book I-77
""")
)
TEXTS = st.lists(st.sampled_from(WORDS), max_size=10).map(lambda words: f"Let me {' '.join(words)}. ")
COUNTS = st.dictionaries(
    st.sampled_from(["check", "whereabout", "parcel", "stop", "check whereabout", "book", "not", "of"]),
    st.dictionaries(st.sampled_from([*(spec.name for spec in TOOLS), "gone", REPLY]), st.integers(0, 50)),
)


@settings(max_examples=200, deadline=None)
@given(COUNTS, st.lists(TEXTS, max_size=4).map("".join))
def test_whatever_was_learned_no_write_is_said_for_it(counts: dict[str, dict[str, int]], text: str) -> None:
    history = [user("My order is A-10432.")]
    plain = turn(ReasoningSniffer(), history, text)
    taught = turn(ReasoningSniffer(triggers=Triggers.from_json(counts), learns=False), history, text)
    writes = [
        {one.call for one in said if isinstance(one, Candidate) and one.call.tool == "stop_parcel"}
        for said in (plain, taught)
    ]
    assert writes[1] <= writes[0]
    for one in taught:
        assert not TOOLS.require(one.call.tool).problems(dict(one.call.args))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(0, 3_000), max_size=40), st.integers(0, 400)), max_size=40))
def test_there_is_a_bound_and_the_file_says_the_same(taught: list[tuple[list[int], int]]) -> None:
    triggers = Triggers()
    for numbers, conversation in taught:
        triggers.learn([f"w{number}" for number in numbers], "parcel_position", conversation)
    assert len(triggers) <= MOST
    again = Triggers.from_json(json.loads(json.dumps(triggers.as_json())))
    assert again.rows() == triggers.rows()
    assert all(one.count >= LEAST for one in again.rows())


def test_the_rarest_phrases_go_first() -> None:
    triggers = Triggers()
    for conversation in range(LEAST):
        triggers.learn(["whereabout"], "parcel_position", conversation)
    for number in range(2 * MOST):
        triggers.learn([f"w{number}"], REPLY, 1_000 + number)
    assert len(triggers) <= MOST
    assert [one.phrase for one in triggers.rows()] == ["whereabout"]


def test_they_are_kept_with_the_patterns_and_dropped_with_the_tool() -> None:
    patterns = Patterns()
    patterns.adapt(TOOLS)
    for conversation in range(LEAST):
        patterns.triggers.learn(["whereabout"], "parcel_position", conversation)
        patterns.triggers.learn(["bill"], "get_invoice", conversation)
    patterns.triggers.learn(["seldom"], "get_invoice", 0)
    again = Patterns.from_json(json.loads(patterns.as_text()))
    assert again.triggers.rows() == patterns.triggers.rows()
    assert "seldom" not in patterns.as_text()
    changed = tool("get_invoice", "Get an invoice.", READ, "number")
    again.adapt(ToolRegistry([spec if spec.name != "get_invoice" else changed for spec in TOOLS]))
    assert [one.tool for one in again.triggers.rows()] == ["parcel_position"]


@pytest.mark.parametrize("broken", [{"w": 3}, {"w": {"t": "many"}}, ["w"]])
def test_a_broken_file_is_said(broken: object) -> None:
    data = {**Patterns().as_json(), "triggers": broken}
    with pytest.raises(PatternsError):
        Patterns.from_json(data)
