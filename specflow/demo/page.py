"""The tables after the demo: as boxes on a terminal, as plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from specflow.demo.measure import Measured
from specflow.demo.sidebyside import Comparison
from specflow.demo.timeline import Timeline, describe

Rows = Sequence[tuple[str, ...]]


def print_table(console: Console, head: tuple[str, ...], rows: Rows) -> None:
    """A table whose first column is text and whose others are figures."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for position, title in enumerate(head):
        table.add_column(title, justify="left" if position == 0 else "right", no_wrap=position > 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def print_timeline(console: Console, line: Timeline) -> None:
    """What happened when, one line each, for a pipe."""
    console.print(Text(f"{line.title}:"))
    for bar in line.bars:
        end = bar.end if bar.end is not None else line.now()
        note = f"  [{bar.note}]" if bar.note else ""
        console.print(
            Text(f"  {bar.start:6.2f} - {end:6.2f} s  {bar.kind:<5}  {bar.label}{note}"), soft_wrap=True
        )


def print_comparison(console: Console, found: Comparison) -> None:
    """Time to action per call, end to end, what became of the guesses, and what to do next."""
    slow, fast, watch = found.sequential, found.speculative, found.watch
    rows: list[tuple[str, ...]] = []
    for one, two in zip_longest(slow.calls, fast.calls):
        named = one or two
        rows.append(
            (
                describe(named.tool, named.args, width=44),
                f"{one.to_action:.2f} s" if one else "-",
                f"{two.to_action:.2f} s" if two else "-",
                f"{two.to_action - one.to_action:+.2f} s" if one and two else "",
            )
        )
    change = fast.seconds - slow.seconds
    rows.append(("end to end", f"{slow.seconds:.2f} s", f"{fast.seconds:.2f} s", f"{change:+.2f} s"))
    console.print()
    print_table(console, ("time to action", "sequential", "speculative", "difference"), rows)
    console.print()
    counts = watch.outcomes
    ideal = f"{_share(found.bound, slow)} ({found.bound:.2f} s)"
    used = f"hits {counts['hit']}, late {counts['late']}, misses {counts['miss']}, stale {counts['stale']}"
    lines = [
        f"{_share(fast.seconds, slow)} less time; with every guess right and at once it would be {ideal}",
        f"{used}; started for nothing: {watch.wasted}",
        *(f"cancelled  {label}" for label in watch.cancelled),
        *(f"undone     {label}" for label in watch.undone),
        "both runs gave the same answer and left the same world"
        if found.same
        else "THE RUNS DIFFER: see --json for both answers and worlds",
        f"answer     {_printable(fast.answer)}",
        f"journal    {found.journal}",
        f"next       specflow journal list --db {found.journal}",
        f"           specflow journal verify --db {found.journal}",
    ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _share(seconds: float, of: Measured) -> str:
    return f"{1 - seconds / of.seconds:.0%}" if of.seconds else "-"


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
