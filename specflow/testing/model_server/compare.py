"""Comparing a conversation with a recorded one: by structure, with the ids of calls renamed by position."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from typing import Any

from specflow.effects.call import NotJsonError, canonical_json
from specflow.testing.model_server.request import call_key, calls_of, function_of, text_of
from specflow.traces.recorded import RecordedRun, RecordedTurn

EXCERPT = 80
"""Characters shown of each side of a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message without its ids. `answers` is the position, from 1, of the call a tool message answers."""

    role: str
    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    answers: int = 0


def expected(run: RecordedRun, number: int) -> Iterator[Said]:
    """The messages the record has before its answer `number` (from 0)."""
    answers = 0
    for turn in run.turns:
        if turn.role == "assistant":
            if answers == number:
                return
            answers += 1
        yield Said(
            role=turn.role,
            text=turn.content,
            calls=tuple((call.name, _canonical(call.args)) for call in turn.calls),
        )
        yield from _results(turn)


def _results(turn: RecordedTurn) -> Iterator[Said]:
    open_calls = [call.id for call in turn.calls]
    for result in turn.results:
        position = _take(open_calls, result.id)
        yield Said(role="tool", text=result.content, answers=position)


def observed(
    messages: Sequence[Mapping[str, Any]], thoughts: Mapping[int, str]
) -> Iterator[tuple[int, Said]]:
    """The messages of a request with their positions from 1.

    `thoughts` has, by number of the answer, the reasoning that was sent inside the text: a client that
    sends it back in the same place has not changed anything.
    """
    open_calls: list[str | None] = []
    answers = 0
    for at, message in enumerate(messages, start=1):
        role = "system" if message.get("role") == "developer" else str(message.get("role"))
        text = text_of(message.get("content"))
        if role == "tool":
            identity = message.get("tool_call_id")
            yield at, Said(role=role, text=text, answers=_take(open_calls, str(identity)))
            continue
        if role == "assistant":
            text = text.removeprefix(f"<think>{thoughts[answers]}</think>") if answers in thoughts else text
            answers += 1
        calls = calls_of(message)
        open_calls = [call_key(call) for call in calls]
        functions = (function_of(call) for call in calls)
        yield at, Said(role=role, text=text, calls=tuple((name, _parsed(args)) for name, args in functions))


def compare(
    messages: Sequence[Mapping[str, Any]],
    run: RecordedRun,
    number: int,
    *,
    thoughts: Mapping[int, str] | None = None,
) -> list[str]:
    """The differences between a request for answer `number` (from 0) and the record, a line each.

    System messages are the caller's own and not compared, unless the record has one.
    """
    place = f"run {run.number}, request {number + 1}"
    wanted = list(expected(run, number))
    with_system = any(said.role == "system" for said in wanted)
    came = [
        (at, said) for at, said in observed(messages, thoughts or {}) if with_system or said.role != "system"
    ]
    found: list[str] = []
    for want, pair in zip_longest(wanted, came):
        if pair is None:
            found.append(f"{place}, message {len(messages) + 1}: missing: expected {_summary(want)}")
            break
        at, got = pair
        if want is None or want.role != got.role:
            there = "nothing" if want is None else _summary(want)
            found.append(f"{place}, message {at}: expected {there} got {_summary(got)}")
            # From here on everything is shifted: more lines would say the same again.
            break
        found.extend(f"{place}, message {at}: {line}" for line in _between(want, got))
    return found


def _between(want: Said, got: Said) -> Iterator[str]:
    if want.answers != got.answers:
        there = f"call {got.answers}" if got.answers else "no open call"
        yield f"tool result: expected the answer to call {want.answers} got the answer to {there}"
    if want.text != got.text:
        yield f"{_NAMES.get(want.role, want.role)}: {_both(want.text, got.text)}"
    for position, (ours, theirs) in enumerate(zip_longest(want.calls, got.calls), start=1):
        if ours == theirs:
            continue
        if ours is None or theirs is None or ours[0] != theirs[0]:
            yield f"call {position}: expected {_called(ours)} got {_called(theirs)}"
        else:
            yield f"call {position} ({ours[0]}): arguments: {_both(ours[1], theirs[1])}"


_NAMES = {
    "tool": "tool result",
    "user": "user's text",
    "assistant": "assistant's text",
    "system": "system message",
}


def _summary(said: Said) -> str:
    calls = "".join(f" calling {name}" for name, _ in said.calls)
    return f"{said.role} message {_excerpt(said.text, 0)}{calls}"


def _called(call: tuple[str, str] | None) -> str:
    return "no call" if call is None else f"{call[0]}({_excerpt(call[1], 0)})"


def _both(want: str, got: str) -> str:
    """Both texts around the first character in which they differ."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(want, got, strict=False)))
    start = max(0, same - EXCERPT // 4)
    return f"expected {_excerpt(want, start)} got {_excerpt(got, start)}"


def _excerpt(text: str, start: int) -> str:
    piece = text[start : start + EXCERPT]
    before, after = "…" if start else "", "…" if start + EXCERPT < len(text) else ""
    return before + ascii(piece) + after if not piece.isprintable() else f"{before}'{piece}'{after}"


def _take(open_calls: list[Any], identity: str) -> int:
    """The position, from 1, of the first open call of that id, which is open no more; 0 if there is none."""
    if identity not in open_calls:
        return 0
    position = open_calls.index(identity)
    open_calls[position] = None
    return position + 1


def _parsed(arguments: str) -> str:
    try:
        return _canonical(json.loads(arguments or "{}"))
    except (ValueError, RecursionError):
        return arguments


def _canonical(value: object) -> str:
    try:
        return canonical_json(value)
    except NotJsonError:
        return ascii(value)
