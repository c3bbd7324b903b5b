"""`specflow bench`: what specflow costs and saves on this machine, as ratios measured within one run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from specflow.bench.catalogue import BENCHES, chosen
from specflow.bench.effort import Effort
from specflow.bench.row import Row

_LIST = " | ".join(f"`{bench.name}`: {bench.about}" for bench in BENCHES.values())
EPILOG = (
    f"Benches: {_LIST}. Examples: `specflow bench` | `specflow bench chunk` | "
    "`specflow bench agent --runs 5 --json`"
)
HEADINGS = ("bench", "case", "metric", "value", "baseline", "ratio", "quartiles", "n", "note")
NUMBERS = frozenset({"value", "baseline", "ratio", "quartiles", "n"})


def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of: {', '.join(BENCHES)}.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
    runs: Annotated[
        int | None,
        typer.Option("--runs", min=1, help="How often each comparison is made; else as suits the bench."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small inputs, to see that it works.")] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="Recorded games, for `chess`; else SPECFLOW_CHESS_DATA.")
    ] = None,
) -> None:
    """Measure specflow beside a baseline on this machine, in turn, round by round.

    Machines are shared and noisy: each ratio is the median over rounds in which both sides were measured,
    with its quartiles. No network beyond the loopback address. Ctrl-C prints what is finished.
    """
    benches = chosen(name)
    rows: list[Row] = []
    try:
        with _progress() as tell:
            for one in benches:
                tell(one.name)
                for row in one.rows(Effort(runs=runs, quick=quick, data=data, tell=tell)):
                    rows.append(row)  # noqa: PERF402 - what is finished is kept, whatever ends the rest
    except KeyboardInterrupt:
        _print(rows, as_json=as_json)
        typer.echo(f"interrupted; finished rows: {len(rows)}", err=True)
        raise typer.Exit(130) from None
    except Exception:
        # Minutes of measuring are not thrown away because a later bench fails.
        _print(rows, as_json=as_json)
        raise
    _print(rows, as_json=as_json)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """On a terminal: what is being measured, and for how long already."""
    if not sys.stderr.isatty():
        yield lambda _what: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("")
        yield lambda what: progress.update(task, description=f"measuring {what}")


def _print(rows: Sequence[Row], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([row.as_json() for row in rows], indent=2))
        return
    lines = [_cells(row) for row in rows]
    if not sys.stdout.isatty():
        # Columns that `cut` and `less -S` can deal with: never wrapped to a width nobody has.
        widths = [max(map(len, column)) for column in zip(HEADINGS, *lines, strict=True)]
        for line in (HEADINGS, *lines):
            typer.echo(
                "  ".join(_padded(*cell) for cell in zip(HEADINGS, line, widths, strict=True)).rstrip()
            )
        return
    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in NUMBERS else "left")
    for line in lines:
        table.add_row(*line)
    Console(highlight=False, markup=False).print(table)


def _padded(heading: str, text: str, width: int) -> str:
    return text.rjust(width) if heading in NUMBERS else text.ljust(width)


def _cells(row: Row) -> tuple[str, ...]:
    quartiles = "-" if row.low is None or row.high is None else f"{row.low:.4g}-{row.high:.4g}"
    return (
        row.bench,
        row.case,
        row.metric,
        _amount(row.value, row.unit),
        _amount(row.baseline, row.unit),
        "-" if row.ratio is None else f"{row.ratio:.4g}",
        quartiles,
        str(row.n),
        row.note,
    )


def _amount(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.4g} {unit}"
