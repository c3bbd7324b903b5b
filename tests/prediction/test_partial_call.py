"""Streamed tool calls are proposed when nothing about them can still change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.partial_call import CLOSED, PartialCallListener, PartialCallPredictor
from specflow.prediction.predictor import TurnContext


def tool(name: str, required: list[str] | None = None, **properties: Any) -> ToolSpec:
    return ToolSpec(
        name=name,
        parameters={
            "type": "object",
            "properties": properties,
            "required": required or [],
            "additionalProperties": False,
        },
    )


S: dict[str, Any] = {"type": "string"}
SEARCH = tool("search_flights", ["origin", "destination"], origin=S, destination=S, day={"type": "integer"})
PING = tool("ping")
OPEN = ToolSpec(name="anything", parameters={"type": "object"})
LOOSE = ToolSpec(
    name="loose", parameters={"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]}
)
TOOLS = ToolRegistry([SEARCH, PING, OPEN, LOOSE, tool("search", ["q"], q=S)])


def listener() -> PartialCallListener:
    return PartialCallPredictor().listen(TurnContext(tools=TOOLS))


def piece(text: str = "", name: str = "", index: int = 0, complete: bool = False, stream: str = "s") -> Chunk:
    return Chunk(
        kind=ChunkKind.TOOL_CALL, text=text, tool=name, index=index, complete=complete, stream=stream
    )


def said(ear: PartialCallListener, *chunks: Chunk) -> list[Proposal]:
    return [proposal for chunk in chunks for proposal in ear.hear(chunk)]


def shown(proposals: list[Proposal]) -> list[str]:
    return [("+" if isinstance(p, Candidate) else "-") + repr(p.call) for p in proposals]


def test_proposes_before_the_object_ends_when_every_parameter_is_closed() -> None:
    ear = listener()
    assert said(ear, piece(name="search_flights"), piece('{"origin":"OSL","destination":"LI')) == []
    assert said(ear, piece('S","day":1')) == []
    early = said(ear, piece("2 "))
    assert shown(early) == ['+search_flights({"day":12,"destination":"LIS","origin":"OSL"})']
    assert isinstance(early[0], Candidate)
    assert 0.9 < early[0].confidence < CLOSED
    assert said(ear, piece("}"), piece(complete=True)) == []


def test_waits_for_the_end_when_an_optional_parameter_may_follow() -> None:
    ear = listener()
    assert said(ear, piece('{"destination":"LIS","origin":"OSL"', "search_flights")) == []
    done = said(ear, piece("}"))
    assert shown(done) == ['+search_flights({"destination":"LIS","origin":"OSL"})']
    assert isinstance(done[0], Candidate)
    assert done[0].confidence == CLOSED
    assert done[0].predictor == "partial_call"
    assert not done[0].tainted


def test_duplicate_key_takes_the_early_proposal_back() -> None:
    ear = listener()
    out = said(ear, piece('{"origin":"A","destination":"B","day":1,"day":2}', "search_flights"))
    assert shown(out) == ['+search_flights({"day":2,"destination":"B","origin":"A"})']
    ear = listener()
    out = said(
        ear, piece(name="search_flights"), *map(piece, '{"origin":"A","destination":"B","day":1,"day":2}')
    )
    assert shown(out) == [
        '+search_flights({"day":1,"destination":"B","origin":"A"})',
        '-search_flights({"day":1,"destination":"B","origin":"A"})',
        '+search_flights({"day":2,"destination":"B","origin":"A"})',
    ]


def test_junk_after_the_object_takes_it_back() -> None:
    out = said(listener(), piece('{"q":"x"}', "search"), piece(" oops"))
    assert shown(out) == ['+search({"q":"x"})', '-search({"q":"x"})']


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("search_flights", '{"origin":1,"destination":"B"}'),
        ("search_flights", '{"origin":"A"}'),
        ("search_flights", '{"origin":"A","destination":"B","extra":1}'),
        ("nobody", '{"q":"x"}'),
        ("search", '{"q":"\\ud800"}'),
        ("anything", '{"q":1e999}'),
        ("", '{"q":"x"}'),
    ],
)
def test_never_proposes_what_does_not_fit(name: str, text: str) -> None:
    assert said(listener(), piece(text, name), piece(complete=True)) == []


def test_a_message_that_ends_inside_the_object_takes_the_guess_back() -> None:
    out = said(listener(), piece('{"q":"x"', "search"), piece(complete=True))
    assert shown(out) == ['+search({"q":"x"})', '-search({"q":"x"})']


def test_a_schema_that_cannot_be_evaluated_permits_no_guess() -> None:
    broken = ToolSpec(name="b", parameters={"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}})
    ear = PartialCallPredictor().listen(TurnContext(tools=ToolRegistry([broken])))
    assert said(ear, piece('{"a":1}', "b", complete=True)) == []


def test_name_in_pieces_and_name_repeated() -> None:
    ear = listener()
    assert shown(
        said(ear, piece(name="search"), piece(name="_flights"), piece('{"origin":"A","destination":"B"}'))
    ) == ['+search_flights({"destination":"B","origin":"A"})']
    ear = listener()
    assert shown(said(ear, piece('{"q":', "search"), piece('"x"}', "search"))) == ['+search({"q":"x"})']


def test_a_name_that_grows_afterwards_takes_the_proposal_back() -> None:
    out = said(listener(), piece('{"q":"x"}', "search"), piece(name="_flights"))
    assert shown(out) == ['+search({"q":"x"})', '-search({"q":"x"})']


def test_parallel_calls_interleaved() -> None:
    out = said(
        listener(),
        piece('{"q":', "search", 0),
        piece('{"q":"b"', "search", 1),
        piece('"a"}', index=0),
        piece("}", index=1),
    )
    assert shown(out) == ['+search({"q":"b"})', '+search({"q":"a"})']


def test_equal_parallel_calls_are_one_belief() -> None:
    ear = listener()
    out = said(ear, piece('{"q":"a"}', "search", 0), piece('{"q":"a"}', "search", 1))
    assert shown(out) == ['+search({"q":"a"})']
    assert said(ear, piece("x", index=0)) == []
    assert shown(said(ear, piece("x", index=1))) == ['-search({"q":"a"})']


def test_no_arguments_at_all() -> None:
    assert said(listener(), piece(name="ping")) == []
    assert shown(said(listener(), piece(name="ping"), piece(complete=True))) == ["+ping({})"]
    assert shown(said(listener(), piece("{}", "ping"))) == ["+ping({})"]


def test_a_retry_takes_back_and_a_late_piece_of_the_old_stream_is_ignored() -> None:
    ear = listener()
    said(
        ear,
        piece('{"q":"a"}', "search", stream="1"),
        piece('{"origin":"b","destination":"c"', "search_flights", 1, stream="1"),
    )
    out = said(ear, Chunk(kind=ChunkKind.TEXT, text="again", stream="2"))
    assert shown(out) == ['-search({"q":"a"})']
    assert said(ear, piece("}", index=1, stream="1")) == []
    assert shown(said(ear, piece('{"q":"c"}', "search", stream="2"))) == ['+search({"q":"c"})']


def test_reasoning_and_text_say_nothing() -> None:
    ear = listener()
    assert (
        said(
            ear,
            Chunk(kind=ChunkKind.REASONING, text='search({"q":"x"})'),
            Chunk(kind=ChunkKind.TEXT, text="{}"),
        )
        == []
    )


def test_bounds_on_calls_and_on_early_guesses() -> None:
    ear = listener()
    out = said(ear, *(piece(json.dumps({"q": str(index)}), "search", index) for index in range(1000)))
    assert len(out) == 64
    ear = listener()
    out = said(ear, piece('{"a":1,"b":2', "loose"), *(piece(f',"b":{n}') for n in range(2000)), piece("}"))
    assert len(out) < 8
    assert shown(out)[-1] == '+loose({"a":1,"b":1999})'


values = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=3)
members = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d"]), values), max_size=6)


@given(members, st.lists(st.integers(0, 200), max_size=8), st.booleans())
def test_what_stays_proposed_is_the_call_and_contradictions_are_retracted(
    pairs: list[tuple[str, Any]], at: list[int], ascii_only: bool
) -> None:
    text = (
        "{" + ", ".join(f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=ascii_only)}" for k, v in pairs) + "}"
    )
    places = sorted({min(place, len(text)) for place in at})
    for pieces in (
        [text],
        list(text),
        [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)],
    ):
        ear = listener()
        live: list[Call] = []
        for proposal in said(ear, piece(name="loose"), *map(piece, pieces), piece(complete=True)):
            if isinstance(proposal, Candidate):
                assert not live, "a second guess while the first still stands"
                live.append(proposal.call)
            else:
                live.remove(proposal.call)
        whole = json.loads(text)
        assert live == ([Call(tool="loose", args=whole)] if "a" in whole else [])
