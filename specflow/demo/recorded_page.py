"""The table after recorded runs were played."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from specflow.demo.page import print_table
from specflow.demo.recorded import Played

HEAD = (
    "run",
    "sequential",
    "speculative",
    "saved",
    "bound",
    "regret",
    "hit",
    "late",
    "miss",
    "stale",
    "wasted",
)


def print_recorded(console: Console, played: Sequence[Played]) -> None:
    """One line for each run, the sum, and every difference from the record."""
    rows = [_row(f"{one.run.number} {one.run.model} task {one.run.task_id}"[:44], [one]) for one in played]
    if len(played) > 1:
        rows.append(_row(f"all {len(played)}", played))
    print_table(console, HEAD, rows)
    slow = sum(one.sequential.seconds for one in played)
    if slow:
        saved, best = sum(one.saved for one in played), slow - sum(one.bound for one in played)
        console.print(
            Text(f"{saved / slow:.1%} less time; with every guess right and at once {best / slow:.1%}")
        )
    wrong = [line for one in played for line in one.differences]
    for line in wrong:
        console.print(Text("".join(sign if sign.isprintable() else " " for sign in line)), soft_wrap=True)
    if not wrong:
        console.print(Text("every request was as in the record"))


def _row(name: str, runs: Sequence[Played]) -> tuple[str, ...]:
    seconds = [sum(getattr(one, what) for one in runs) for what in ("saved", "bound", "regret")]
    counts = [
        sum(one.watch.outcomes[outcome] for one in runs) for outcome in ("hit", "late", "miss", "stale")
    ]
    return (
        name,
        f"{sum(one.sequential.seconds for one in runs):.2f} s",
        f"{sum(one.speculative.seconds for one in runs):.2f} s",
        *(f"{value:.2f} s" for value in seconds),
        *(str(value) for value in counts),
        str(sum(one.watch.wasted for one in runs)),
    )
