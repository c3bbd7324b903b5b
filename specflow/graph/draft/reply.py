"""What a draft model has answered: arguments of the tool it was given, or the same as JSON in its text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from langchain_core.messages import AIMessage

from specflow.effects.call import NotJsonError, canonical_json
from specflow.graph.draft.size import LONGEST, size_of
from specflow.prediction.chunk import ChunkKind
from specflow.prediction.think_tags import ThinkSplitter

MOST_TRIES = 64
"""Places in a text at which an answer is looked for."""

MOST_CALLS = 32
"""Calls of an answer that are looked at."""

Answer = Mapping[str, Any]
"""The arguments, which are JSON."""

Called = tuple[str, Mapping[str, Any]]
"""The name of a tool, and arguments: whatever the model has said, and not too much of it."""


def answer_in(message: AIMessage, tool: str) -> Answer | None:
    """The answer, or None: there is none, or it is no JSON."""
    for call in message.tool_calls:
        if call["name"] == tool:
            return _sound(call["args"])
    return next(_written(_visible(str(message.text))), None)


def calls_made(message: AIMessage) -> Sequence[Called] | None:
    """The calls of a model that has the tools; none: it would only speak. None: what it called is no JSON."""
    if message.invalid_tool_calls and not message.tool_calls:
        return None
    return _called((call["name"], call["args"]) for call in message.tool_calls)


def calls_written(message: AIMessage) -> Sequence[Called] | None:
    """The calls that stand as JSON in the text. None: there is no such JSON."""
    for found in _written(_visible(str(message.text))):
        calls = found.get("calls")
        if isinstance(calls, list):
            said = [call for call in calls if isinstance(call, dict)]
            return _called((call.get("tool"), call.get("args", {})) for call in said)
    return None


def _called(said: Iterable[tuple[object, object]]) -> Sequence[Called]:
    first = islice(said, MOST_CALLS)
    return [
        (name, args)
        for name, args in first
        if isinstance(name, str) and isinstance(args, dict) and size_of(args) <= LONGEST
    ]


def _visible(text: str) -> str:
    splitter = ThinkSplitter()
    pieces = [*splitter.feed(text[:LONGEST]), *splitter.end()]
    return "".join(piece for kind, piece in pieces if kind is ChunkKind.TEXT)


def _written(text: str) -> Iterator[Answer]:
    decoder, at = json.JSONDecoder(), -1
    for _ in range(MOST_TRIES):
        at = text.find("{", at + 1)
        if at < 0:
            return
        try:
            found, _ = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            continue
        answer = _sound(found)
        if answer is not None:
            yield answer


def _sound(value: object) -> Answer | None:
    if not isinstance(value, dict):
        return None
    try:
        canonical_json(value)
    except (NotJsonError, ValueError, RecursionError):
        return None
    return value
