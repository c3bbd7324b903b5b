"""What a generated agent asks for: a function of what it has seen, and of nothing else.

So any difference in what it sees makes it go another way, and shows in everything after it. Keys of bookings
differ from run to run; an agent sees and names them by the order in which they came.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from specflow.effects.call import Call
from specflow.testing.lossless.case import Ask, Guess, Step
from specflow.testing.lossless.kinds import KINDS

NUMBER, BOOKING = "?", "!"


@dataclass(slots=True)
class Memory:
    """What one agent has seen: a line for every answer, and the bookings behind their names."""

    lines: list[str] = field(default_factory=list)
    bookings: list[str] = field(default_factory=list)
    state: int = 0

    def add(self, lines: Iterable[str]) -> None:
        """These answers came, all at once."""
        for line in lines:
            self.lines.append(line)
            self.state = crc32(line.encode(), self.state)

    def args(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments with what the agent knows filled in."""
        return {name: self._filled(value) for name, value in args.items()}

    def _filled(self, value: Any) -> Any:
        if value == NUMBER:
            return self.state % 7
        if value == BOOKING:
            return self.bookings[self.state % len(self.bookings)] if self.bookings else "none"
        return value

    def call(self, ask: Ask) -> Call:
        """The call that the model writes into its message."""
        return Call(tool=ask.tool, args=self.args(ask.args))

    def chosen(self, step: Step) -> tuple[Ask, ...]:
        """The message that follows from what was seen."""
        return step.options[self.state % len(step.options)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one call: the tool's value, or how it failed."""

    call: Call
    value: Any = None
    error: str = ""


def remember(memory: Memory, answers: Sequence[Answer]) -> None:
    """The agent reads the answers to one message.

    Equal calls of one message race each other, with specflow and without: which of them was first is nobody's
    promise. So their answers are read in an order of their own.
    """
    groups: dict[str, list[str]] = {}
    for answer in answers:
        groups.setdefault(answer.call.fingerprint, []).append(_text(answer))
    for group in groups.values():
        group.sort(key=lambda text: (json.loads(text).get("error", ""), _nameless(text)))
    lines = []
    for answer in answers:
        text = groups[answer.call.fingerprint].pop(0)
        lines.append(f"{answer.call.tool}({_named(memory, answer.call.args)}) = {_names(memory, text)}")
    memory.add(lines)


def _text(answer: Answer) -> str:
    shown = {"error": answer.error} if answer.error else {"value": answer.value}
    return json.dumps(shown, sort_keys=True)


def _nameless(text: str) -> str:
    value = json.loads(text).get("value")
    return json.dumps({**value, "booking": ""} if isinstance(value, dict) and "booking" in value else value)


def _names(memory: Memory, text: str) -> str:
    shown = json.loads(text)
    value = shown.get("value")
    if isinstance(value, dict) and "booking" in value:
        if value["booking"] not in memory.bookings:
            memory.bookings.append(value["booking"])
        value["booking"] = f"booking {memory.bookings.index(value['booking'])}"
    return json.dumps(shown, sort_keys=True)


def _named(memory: Memory, args: Mapping[str, Any]) -> str:
    shown = {
        name: f"booking {memory.bookings.index(value)}" if value in memory.bookings else value
        for name, value in args.items()
    }
    return json.dumps(shown, sort_keys=True)


# ------------------------------------------------------------------ what is guessed of it


def guessed(guess: Guess, memory: Memory, message: Sequence[Ask], later: Step | None) -> list[Call]:
    """The calls that a guess proposes; `later` is the step after this one."""
    area = message[0].args["area"] if message else ""
    match guess.what:
        case "right" | "back" if message:
            ask = message[guess.which % len(message)]
            made = memory.call(ask)
            return [edited(made, ask.edited) if guess.which % 2 and ask.person == "edit" else made]
        case "near" if message:
            return [_near(memory.call(message[guess.which % len(message)]), guess.which)]
        case "later" if later is not None:
            option = later.options[guess.which % len(later.options)]
            return [memory.call(ask) for ask in option[:1]]
        case "flood" if message:
            return [*_flood(area, guess.which)]
        case "nonsense":
            return _nonsense(area)
        case _:
            return [memory.call(guess.ask)] if guess.ask is not None else []


def edited(call: Call, change: Mapping[str, Any]) -> Call:
    """The call with arguments that a person has changed."""
    return Call(tool=call.tool, args={**call.args, **change})


def _near(call: Call, which: int) -> Call:
    """The call with one argument a little different."""
    args = dict(call.args)
    names = [name for name in sorted(KINDS[call.tool].takes) if name in args and name != "area"]
    if not names:
        return call
    name = names[which % len(names)]
    value = args[name]
    if isinstance(value, int):
        args[name] = value + 1
    elif name == "cell" and str(value).islower() and which % 3 == 0:
        args[name] = str(value).upper()  # the same cell: small letters are only there where that counts
    elif name in {"cell", "source", "target"}:
        args[name] = "ABC"[("ABC".index(str(value).upper()) + 1) % 3]
    else:
        args[name] = f"{value} "
    return Call(tool=call.tool, args=args)


def _flood(area: str, which: int) -> Iterable[Call]:
    for number in range(12):
        yield Call(tool="add", args={"area": area, "cell": "ABC"[number % 3], "by": which + number})
        yield Call(tool="look", args={"area": area, "cell": "ABC"[number % 3], "note": str(number)})


def _nonsense(area: str) -> list[Call]:
    return [
        Call(tool="no_such_tool", args={"area": area}),
        Call(tool="put", args={"area": area, "cell": "A"}),
        Call(tool="look", args={"area": 3, "cell": ["A"]}),
    ]
