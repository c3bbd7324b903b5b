"""What a draft model has answered: arguments of the tool it was given, or the same as JSON in its text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage

from specflow.effects.call import NotJsonError, canonical_json
from specflow.prediction.chunk import ChunkKind
from specflow.prediction.think_tags import ThinkSplitter

LONGEST = 200_000
"""Characters of an answer that are looked at."""

MOST_TRIES = 64
"""Places in a text at which an answer is looked for."""

Answer = Mapping[str, Any]
"""The arguments, which are JSON."""


def answer_in(message: AIMessage, tool: str) -> Answer | None:
    """The answer, or None: there is none, or it is no JSON."""
    for call in message.tool_calls:
        if call["name"] == tool:
            return _sound(call["args"])
    return next(_written(_visible(str(message.text))), None)


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
