"""What a provider streams is data: what cannot be read is not heard, and what follows is."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from specflow.graph.tap import StreamTap
from specflow.prediction.chunk import Chunk, ChunkKind


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"x": value}
    return value


def finished(**content: Any) -> dict[str, Any]:
    return {"event": "content-block-finish", "content": {"type": "tool_call", "name": "look", **content}}


GOOD = {"event": "content-block-delta", "delta": {"type": "text-delta", "text": "go on"}}


@pytest.mark.parametrize(
    "event",
    [
        finished(args=nested(5_000)),
        finished(args={"a": object()}),
        finished(args={"a": float("nan")}),
        finished(args="text"),
        {**finished(args={}), "index": [1]},
        {"event": "content-block-finish", "content": [1]},
        {"event": "content-block-delta", "delta": "text"},
        {"event": 7},
        "no event at all",
        None,
    ],
    ids=lambda event: str(type(event)),
)
def test_an_event_that_cannot_be_read_is_not_heard(event: Any) -> None:
    heard: list[Chunk] = []
    tap, run_id = StreamTap(heard.append), uuid4()
    tap.on_stream_event(event, run_id=run_id)
    assert heard == []
    tap.on_stream_event(GOOD, run_id=run_id)
    assert [(chunk.kind, chunk.text) for chunk in heard] == [(ChunkKind.TEXT, "go on")]


def test_a_chunk_that_cannot_be_read_is_not_heard() -> None:
    heard: list[Chunk] = []
    tap, run_id = StreamTap(heard.append), uuid4()
    odd = AIMessageChunk(content="")
    odd.tool_call_chunks = [{"name": "look", "args": "{", "id": "1", "index": [1], "type": "tool_call_chunk"}]  # type: ignore[typeddict-item]  # that is the point
    for message in (odd, AIMessageChunk(content="go on")):
        tap.on_llm_new_token("", chunk=ChatGenerationChunk(message=message), run_id=run_id)
    assert [(chunk.kind, chunk.text) for chunk in heard] == [(ChunkKind.TEXT, "go on")]
