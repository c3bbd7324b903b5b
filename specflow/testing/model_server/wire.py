"""OpenAI's chat-completions objects, made from what the scripted model says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specflow.prediction.chunk import ChunkKind
from specflow.testing.model_server.pieces import Piece, Speech
from specflow.testing.model_server.reply import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What every object of one answer repeats. `created` is Unix seconds."""

    id: str
    model: str
    created: int
    with_usage: bool = False

    def chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        """One streamed object."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion.chunk", [choice]) | ({"usage": None} if self.with_usage else {})

    def usage_chunk(self, usage: Usage) -> dict[str, Any]:
        """The object after the last choice, for clients that asked for usage."""
        return self._object("chat.completion.chunk", []) | {"usage": usage_object(usage)}

    def completion(self, speech: Speech, finish: str) -> dict[str, Any]:
        """The whole answer in one object."""
        choice = {"index": 0, "message": message(speech), "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion", [choice]) | {"usage": usage_object(speech.usage)}

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def delta(piece: Piece) -> dict[str, Any]:
    """The delta of one piece."""
    if piece.kind is ChunkKind.REASONING:
        return {"reasoning_content": piece.text}
    if piece.kind is ChunkKind.TEXT:
        return {"content": piece.text}
    if piece.name:
        function = {"name": piece.name, "arguments": ""}
        call = {"index": piece.index, "id": piece.call_id, "type": "function", "function": function}
    else:
        call = {"index": piece.index, "function": {"arguments": piece.text}}
    return {"tool_calls": [call]}


def message(speech: Speech) -> dict[str, Any]:
    """The assistant's message, as a client would put it together from the deltas."""
    text = "".join(piece.text for piece in speech.pieces if piece.kind is ChunkKind.TEXT)
    reasoning = "".join(piece.text for piece in speech.pieces if piece.kind is ChunkKind.REASONING)
    calls: dict[int, dict[str, Any]] = {}
    for piece in speech.pieces:
        if piece.kind is not ChunkKind.TOOL_CALL:
            continue
        if piece.name:
            function = {"name": piece.name, "arguments": ""}
            calls[piece.index] = {"id": piece.call_id, "type": "function", "function": function}
        calls[piece.index]["function"]["arguments"] += piece.text
    said: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    if reasoning:
        said["reasoning_content"] = reasoning
    if calls:
        said["tool_calls"] = list(calls.values())
    return said


def usage_object(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage object."""
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }


def encode(value: object) -> bytes:
    """JSON in ASCII, so that any text can travel."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def event(value: object) -> bytes:
    """One server-sent event."""
    return b"data: " + encode(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"
