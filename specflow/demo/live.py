"""The picture while it runs: two columns of bars, sequential and speculative."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from specflow.demo.timeline import Bar, Kind, Timeline, describe
from specflow.terminal import read_line

STYLE = {
    Kind.THINK: "blue",
    Kind.TOOL: "green",
    Kind.EARLY: "cyan",
    Kind.UNDO: "magenta",
    Kind.ASK: "yellow",
}
SIGN = {Kind.THINK: "░", Kind.TOOL: "█", Kind.EARLY: "▓", Kind.UNDO: "◄", Kind.ASK: "?"}
WORD = {
    "hit": "green",
    "late": "green",
    "cancelled": "red",
    "compensated": "magenta",
    "stale": "red",
    "stuck": "bold red",
}
_LEAST_SCALE = 10.0
"""Seconds across a column while a run is younger than that."""


class Screen:
    """Draws two timelines on a terminal, and asks the person in front of it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._lines: tuple[Timeline, ...] = ()

    @contextmanager
    def show(self, *timelines: Timeline) -> Iterator[None]:
        """Keep the picture fresh for as long as the block runs; the last picture stays."""
        self._lines = timelines
        with Live(get_renderable=self.picture, console=self._console, refresh_per_second=10) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def picture(self) -> Table:
        """Both columns as they are now."""
        scale = max(_LEAST_SCALE, *(line.now() for line in self._lines))
        width = max(40, self._console.width) // len(self._lines)
        table = Table.grid(expand=True)
        for _ in self._lines:
            table.add_column(ratio=1)
        table.add_row(*(_column(line, scale, width - 4) for line in self._lines))
        return table

    async def ask(self, request: Mapping[str, Any]) -> bool:
        """Show an approval request and wait for a typed answer. Only `y` or `yes` is a yes."""
        if self._live is not None:
            self._live.stop()
        try:
            label = describe(str(request.get("name")), request.get("args") or {}, width=100)
            self._console.print(Text.assemble(("Approve ", "yellow"), label, ("? [y/N] ", "yellow")), end="")
            return (await read_line()).strip().lower() in {"y", "yes"}
        finally:
            if self._live is not None:
                self._live.start(refresh=True)


def _column(line: Timeline, scale: float, width: int) -> Panel:
    body = Table.grid(padding=(0, 1))
    bar_width = max(10, width * 2 // 5)
    body.add_column(width=bar_width, no_wrap=True)
    body.add_column(no_wrap=True, overflow="ellipsis")
    for bar in line.bars:
        body.add_row(_bar(bar, line.now(), scale, bar_width), _label(bar))
    return Panel(body, title=f"{line.title}  {line.now():5.1f} s", border_style="dim", width=width + 2)


def _bar(bar: Bar, now: float, scale: float, width: int) -> Text:
    first = min(width - 1, int(bar.start / scale * width))
    last = max(first + 1, round((now if bar.end is None else bar.end) / scale * width))
    return Text(" " * first + SIGN[bar.kind] * (min(last, width) - first), style=STYLE[bar.kind])


def _label(bar: Bar) -> Text:
    """What it is, and how it ended before what it was: the end of a long line is cut off."""
    text = Text({Kind.EARLY: "early ", Kind.UNDO: "undo ", Kind.ASK: "ask "}.get(bar.kind, ""))
    if bar.note:
        text.append(f"{bar.note} ", style=WORD.get(bar.note, "dim"))
    return text.append(bar.label)
