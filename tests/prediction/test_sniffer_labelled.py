"""The sniffer on the labelled texts: precision, recall, every shape and cut of a stream, no write unasked."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from specflow.effects.call import Call
from specflow.graph.tap import StreamTap
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import TurnContext
from specflow.prediction.sniffer import ReasoningSniffer

sys.path.insert(0, str(Path(__file__).parent))
from labelled_set import SHAPES, Case, cases, tally

CASES = cases()
UNWANTED = ("negation", "hypothetical", "reply", "hostile")


def hear(case: Case, pieces: Sequence[str]) -> list[Proposal]:
    ear = ReasoningSniffer().listen(TurnContext(tools=case.tools, history=case.history))
    said = [p for piece in pieces for p in ear.hear(Chunk(kind=ChunkKind.REASONING, text=piece))]
    return said if case.open else [*said, *ear.hear(Chunk(kind=ChunkKind.TOOL_CALL))]


def hear_through_langchain(case: Case, pieces: Sequence[str]) -> list[Proposal]:
    ear = ReasoningSniffer().listen(TurnContext(tools=case.tools, history=case.history))
    said: list[Proposal] = []
    tap, run = StreamTap(lambda chunk: said.extend(ear.hear(chunk))), uuid4()

    def message(chunk: AIMessageChunk) -> None:
        tap.on_llm_new_token("", chunk=ChatGenerationChunk(message=chunk), run_id=run)

    def event(piece: str) -> None:
        delta = {"type": "reasoning-delta", "reasoning": piece}
        tap.on_stream_event({"event": "content-block-delta", "delta": delta}, run_id=run)

    say: dict[str, Callable[[str], None]] = {
        "tags": lambda piece: message(AIMessageChunk(content=piece)),
        "text": lambda piece: message(AIMessageChunk(content=piece)),
        "blocks": lambda piece: message(AIMessageChunk(content=[{"type": "reasoning", "reasoning": piece}])),
        "reasoning_content": lambda piece: message(
            AIMessageChunk(content="", additional_kwargs={"reasoning_content": piece})
        ),
        "events": event,
    }
    for piece in pieces:
        say[case.shape](piece)
    return said if case.open else [*said, *ear.hear(Chunk(kind=ChunkKind.TOOL_CALL, stream=str(run)))]


def plain(proposals: Sequence[Proposal]) -> list[tuple[str, str, float]]:
    return [(type(p).__name__, repr(p.call), getattr(p, "confidence", 0.0)) for p in proposals]


def live(proposals: Sequence[Proposal]) -> set[Call]:
    calls: set[Call] = set()
    for proposal in proposals:
        (calls.add if isinstance(proposal, Candidate) else calls.remove)(proposal.call)
    return calls


@cache
def whole(number: int) -> list[Proposal]:
    return hear(CASES[number], [CASES[number].text])


def cut(text: str, places: Sequence[int]) -> list[str]:
    at = sorted({place % (len(text) + 1) for place in places})
    return [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]


def test_the_set_is_large_and_balanced() -> None:
    kinds = {kind: [case for case in CASES if case.kind == kind] for kind in {case.kind for case in CASES}}
    assert len(CASES) >= 240
    assert len({case.text for case in CASES}) == len(CASES)
    assert all(len(found) >= 20 for found in kinds.values())
    assert {case.shape for case in CASES} == set(SHAPES)
    assert 0.25 < sum(case.held_out for case in CASES) / len(CASES) < 0.45


@pytest.mark.parametrize("held_out", [False, True])
def test_precision_and_recall(held_out: bool) -> None:
    heard = [(case, live(whole(at))) for at, case in enumerate(CASES) if case.held_out is held_out]
    table, precision, recall = tally(heard)
    sys.stdout.write(table)
    assert precision >= 0.9
    assert recall >= 0.8


def test_no_write_is_proposed_where_none_is_announced() -> None:
    for at, case in enumerate(CASES):
        if case.kind in UNWANTED:
            assert not [p.call for p in whole(at) if isinstance(p, Candidate) and case.writes(p.call)], (
                case.text
            )


@pytest.mark.parametrize("size", [1, 3])
def test_every_text_by_single_characters_and_by_three(size: int) -> None:
    for at, case in enumerate(CASES):
        pieces = [case.text[start : start + size] for start in range(0, len(case.text), size)]
        assert plain(hear(case, pieces)) == plain(whole(at)), case.text


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(CASES) - 1), st.lists(st.integers(0, 1000), max_size=60))
def test_any_cut_of_the_stream_gives_the_same(number: int, places: list[int]) -> None:
    case = CASES[number]
    assert plain(hear(case, cut(case.text, places))) == plain(whole(number))


def test_every_text_in_its_shape_through_langchain() -> None:
    chance = random.Random(5)
    for at, case in enumerate(CASES):
        text = f"<think>{case.text}</think>" if case.shape == "tags" else case.text
        places = [chance.randrange(len(text)) for _ in range(chance.randrange(len(text)))]
        pieces = [piece for piece in cut(text, places) if piece]
        assert plain(hear_through_langchain(case, pieces)) == plain(whole(at)), case.text
