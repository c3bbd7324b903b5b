"""A reply cut into what is streamed, and how the stream ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from specflow.prediction.chunk import ChunkKind
from specflow.testing.model_server.reply import CallPlan, Reply, Usage, call_id
from specflow.testing.model_server.tokens import Splitter, count_tokens, split_tokens


class Ending(StrEnum):
    """What comes after the last piece."""

    FINISH = "finish"
    DIE = "die"
    HANG = "hang"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One delta. `tokens` is what it costs in time; `name` and `call_id` open a call."""

    kind: ChunkKind
    text: str
    tokens: int
    index: int = 0
    name: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """All that is said to one request. `whole` is the tokens of the uncut reply."""

    pieces: tuple[Piece, ...]
    ending: Ending
    whole: int
    usage: Usage


def speak(
    reply: Reply, *, number: int, prompt_tokens: int, inline: bool, split: Splitter = split_tokens
) -> Speech:
    """Cut reply `number` (from 0) of a conversation into deltas; `inline` puts reasoning into the text.

    `prompt_tokens` is the count to report where the reply does not say another.
    """
    everything = list(_pieces(reply, number=number, inline=inline, split=split))
    whole = sum(piece.tokens for piece in everything)
    ending, limit = Ending.FINISH, None
    if reply.die_after is not None:
        ending, limit = (Ending.ERROR if reply.error else Ending.DIE), reply.die_after
    elif reply.hang_after is not None:
        ending, limit = Ending.HANG, reply.hang_after
    counted = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": whole,
        "reasoning_tokens": count_tokens(reply.reasoning),
    }
    missing = {name: count for name, count in counted.items() if getattr(reply.usage, name) is None}
    usage = replace(reply.usage, **missing)
    kept = everything if limit is None else list(_until(everything, limit))
    return Speech(pieces=tuple(kept), ending=ending, whole=whole, usage=usage)


def _until(pieces: list[Piece], tokens: int) -> Iterator[Piece]:
    said = 0
    for piece in pieces:
        said += piece.tokens
        if said > tokens:
            return
        yield piece


def _pieces(reply: Reply, *, number: int, inline: bool, split: Splitter) -> Iterator[Piece]:
    for part in reply.order:
        if part == "reasoning" and reply.reasoning:
            if inline:
                yield from _said(ChunkKind.TEXT, f"<think>{reply.reasoning}</think>", split)
            else:
                yield from _said(ChunkKind.REASONING, reply.reasoning, split)
        elif part == "text":
            yield from _said(ChunkKind.TEXT, reply.text, split)
        elif part == "calls":
            for position, plan in enumerate(reply.calls):
                yield from _called(plan, call_id(plan, reply=number, position=position), position, split)


def _said(kind: ChunkKind, text: str, split: Splitter) -> Iterator[Piece]:
    for bit in split(text):
        if bit:
            yield Piece(kind=kind, text=bit, tokens=count_tokens(bit))


def _called(plan: CallPlan, identity: str, position: int, split: Splitter) -> Iterator[Piece]:
    # The name comes first and whole, with no arguments yet, as the providers do it.
    yield Piece(
        kind=ChunkKind.TOOL_CALL,
        text="",
        tokens=count_tokens(plan.name),
        index=position,
        name=plan.name,
        call_id=identity,
    )
    for bit in plan.cut() or split(plan.args_text):
        if bit:
            yield Piece(kind=ChunkKind.TOOL_CALL, text=bit, tokens=count_tokens(bit), index=position)
