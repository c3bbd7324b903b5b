"""What `specflow replay` prints: a table where there is room, else a block of lines for each model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from shutil import get_terminal_size
from typing import Any

import typer

Row = Mapping[str, Any]
"""A summary as `--json` prints it."""

WIDE = 150
"""Columns from which the table is used."""

HEADINGS = (
    *("runs", "steps", "in sequence", "saved", "oracle", "regret"),
    *("hit", "late", "miss", "stale", "held", "wasted"),
)


def show(total: Row, models: Mapping[str, Row], sets: Sequence[Row], *, takes: str, real_time: bool) -> None:
    """Print the whole result to standard output."""
    clock = "wall-clock" if real_time else "virtual"
    typer.echo(f"What speculation would have saved, with tools that take {takes} ({clock} time)")
    typer.echo("Tokens are spread evenly over each step's model time.")
    if total["untimed_steps"]:
        typer.echo(f"{total['untimed_steps']} of {total['steps']} steps have no recorded time: 50 tokens/s.")
    typer.echo()
    # One model needs no sum below it.
    rows = {**models, "all": total} if len(models) > 1 else dict(models)
    if get_terminal_size((80, 24)).columns >= WIDE:
        _table(rows)
    else:
        for name, row in rows.items():
            for line in _block(name, row):
                typer.echo(line)
    for name, row in total["predictors"].items():
        typer.echo(
            f"{name}: top-1 {row['top1']:.3f}, top-3 {row['top3']:.3f}, "
            f"precision {row['precision']:.3f}, recall {row['recall']:.3f} (n={row['n']})"
        )
    for line in _sets(sets):
        typer.echo(line)


def _of(row: Row, name: str) -> str:
    """Seconds and their share of the sequential time."""
    seconds = float(row[f"{name}_seconds"])
    whole = float(row["sequential_seconds"])
    return f"{seconds:.1f} s ({100 * seconds / whole if whole else 0.0:.1f} %)"


def _steps(row: Row, side: str) -> str:
    return " / ".join(f"{row['latency'][side][rank]:.1f}" for rank in ("p50", "p95", "p99"))


def _block(name: str, row: Row) -> Iterator[str]:
    ends = row["outcomes"]
    yield f"{name}: {row['runs']} runs, {row['steps']} steps, {row['sequential_seconds']:.0f} s in sequence"
    yield f"  saved   {_of(row, 'saved')}, oracle {_of(row, 'oracle')}, regret {_of(row, 'regret')}"
    yield (
        f"  calls   {ends['hit']} hit, {ends['late']} late, {ends['miss']} miss, {ends['stale']} stale, "
        f"{row['held']} held, {row['refused']} refused, {row['conflicts']} in conflict"
    )
    yield (
        f"  early   {row['launched']} launched, {row['wasted_calls']} wasted "
        f"({row['wasted_seconds']:.1f} s, {row['wasted_usd']:.2f} USD)"
    )
    yield f"  step    p50 / p95 / p99: {_steps(row, 'sequential')} s, early {_steps(row, 'speculative')} s"
    yield ""


def _table(rows: Mapping[str, Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("model", overflow="fold", min_width=24)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in rows.items():
        ends = row["outcomes"]
        cells = [
            str(row["runs"]),
            str(row["steps"]),
            f"{row['sequential_seconds']:.0f} s",
            *(_of(row, part) for part in ("saved", "oracle", "regret")),
            *(str(ends[end]) for end in ("hit", "late", "miss", "stale")),
            str(row["held"]),
            str(row["wasted_calls"]),
        ]
        # A model's name is data: not to be read as markup.
        table.add_row(Text(name), *cells)
    Console(highlight=False).print(table)


def _sets(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    yield "\nby predictors alone and together:"
    for row in rows:
        yield (
            f"  {'+'.join(row['set'])}: saved {_of(row, 'saved')}, regret {_of(row, 'regret')},\n"
            f"    {row['launched']} launched, {row['wasted_calls']} wasted"
        )
