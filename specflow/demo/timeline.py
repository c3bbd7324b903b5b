"""What happened when in one run, on a clock that stands still while a person thinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from specflow.clock import Clock, SystemClock


class Kind(StrEnum):
    """What a bar stands for."""

    THINK = "think"
    TOOL = "tool"
    EARLY = "early"
    UNDO = "undo"
    ASK = "ask"


@dataclass(slots=True, kw_only=True)
class Bar:
    """One thing that took time. Seconds since the start of the run; `end` is None while it goes on."""

    kind: Kind
    label: str
    start: float
    end: float | None = None
    note: str = ""


@dataclass(slots=True)
class Timeline:
    """The bars of one run in the order in which they began. `title` is its name for people."""

    title: str
    clock: Clock = field(default_factory=SystemClock)
    bars: list[Bar] = field(default_factory=list)
    _started: float | None = None
    _paused_at: float | None = None
    _paused: float = 0.0
    _ended: float | None = None
    _known: dict[str, Bar] = field(default_factory=dict)

    def start(self) -> None:
        """The run begins now."""
        self._started = self.clock.monotonic()

    def now(self) -> float:
        """Seconds since the run began, without the time it waited for a person."""
        if self._started is None:
            return 0.0
        if self._ended is not None:
            return self._ended
        until = self._paused_at if self._paused_at is not None else self.clock.monotonic()
        return until - self._started - self._paused

    def finish(self) -> float:
        """The run is over: the clock stops. Seconds it took."""
        self._ended = self.now()
        for bar in self.bars:
            if bar.end is None and bar.kind is not Kind.UNDO:
                bar.end = self._ended
        return self._ended

    @property
    def finished(self) -> bool:
        return self._ended is not None

    def pause(self) -> None:
        """A person is asked: time stands still."""
        self._paused_at = self.clock.monotonic()

    def resume(self) -> None:
        """The person has answered."""
        if self._paused_at is not None:
            self._paused += self.clock.monotonic() - self._paused_at
            self._paused_at = None

    def begin(self, key: str, kind: Kind, label: str) -> Bar:
        """Something starts; `key` is how to end it."""
        bar = Bar(kind=kind, label=label, start=self.now())
        self.bars.append(bar)
        self._known[key] = bar
        return bar

    def end(self, key: str, note: str = "") -> None:
        """Something is over, or (when it was over already) is now known to have ended this way."""
        bar = self._known.get(key)
        if bar is None:
            return
        if bar.end is None:
            bar.end = self.now()
        if note:
            bar.note = note

    def drop(self, key: str) -> None:
        """It did not really start: a person is asked first."""
        bar = self._known.pop(key, None)
        if bar is not None:
            self.bars.remove(bar)


def describe(tool: str, args: Mapping[str, Any], *, order: Sequence[str] = (), width: int = 60) -> str:
    """A call in one printable line: `book_flight(TP351, Ada Lovelace)`. At most `width` characters.

    `order` is the order of the tool's parameters; a call keeps its arguments sorted by name.
    """
    names = [*(name for name in order if name in args), *(name for name in args if name not in order)]
    text = f"{tool}({', '.join(str(args[name]) for name in names)})"
    # Arguments are the model's words: no control characters reach the terminal.
    clean = "".join(sign if sign.isprintable() else " " for sign in text)
    return clean if len(clean) <= width else clean[: width - 1] + "…"
