"""What a model streams, without any framework's types."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ChunkKind(StrEnum):
    """The three things a model can be saying."""

    REASONING = "reasoning"
    TEXT = "text"
    TOOL_CALL = "tool_call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One piece of a model's stream.

    For reasoning and text, `text` is the piece. For tool_call, `text` is the next piece of the JSON
    text of the arguments, `index` tells parallel calls of one message apart, and `tool` is the name
    (or the next piece of the name) where the provider sends it, else empty. `complete` says that the
    provider declared this call finished; `text` then holds nothing or the rest.
    `stream` tells attempts apart: a retry or a fallback inside one turn is a new stream.
    """

    kind: ChunkKind
    text: str = ""
    tool: str = ""
    index: int = 0
    complete: bool = False
    stream: str = ""
