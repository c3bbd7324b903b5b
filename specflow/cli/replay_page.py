"""What `specflow replay` prints: a table where there is room, else a block of lines for each model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

import typer

from specflow.cli.replay_accounts import account_said
from specflow.cli.replay_loose import loose_said
from specflow.cli.replay_misfires import misfires_said
from specflow.cli.replay_sweeps import shuffled_said, sweeps_said
from specflow.errors import ConfigurationError

Row = Mapping[str, Any]
"""A summary as `--json` prints it."""

LOST = {
    "name": "lost to another tool",
    "argument": "lost to another argument",
    "nowhere": "lost to an argument that the conversation does not hold",
}
"""What the reasons for lost reads are called."""

WIDE = 150
"""Columns from which the table is used."""

HEADINGS = (
    *("runs", "steps", "in sequence", "saved", "oracle", "regret"),
    *("hit", "late", "miss", "stale", "held", "wasted"),
)


def show(total: Row, *, takes: str, real_time: bool) -> None:
    """Print the whole result to standard output. `takes` is empty where nothing was played."""
    from specflow.replay.latency import taking

    if not takes:
        typer.echo(f"{total['runs']} runs, {total['steps']} steps; nothing was played")
        for line in _figures(total):
            typer.echo(line)
        return
    clock = "wall-clock" if real_time else "virtual"
    typer.echo(f"What speculation would have saved, with tools that take {taking(takes)} ({clock} time)")
    typer.echo("Tokens are spread evenly over each step's model time.")
    for line in _times(total):
        typer.echo(line)
    typer.echo()
    # One model needs no sum below it.
    models = total["models"]
    rows = {**models, "all": total} if len(models) > 1 else dict(models)
    if get_terminal_size((80, 24)).columns >= WIDE:
        _table(rows)
    else:
        for name, row in rows.items():
            for line in _block(name, row):
                typer.echo(line)
    parts = (
        _shares(total["shares"]),
        _figures(total),
        misfires_said(total),
        loose_said(total),
        account_said(total),
        sweeps_said(total),
        shuffled_said(total),
        _sets(total.get("by_predictor_set", ())),
        _adds(total.get("adds", {})),
    )
    for part in parts:
        for line in part:
            typer.echo(line)


def _times(total: Row) -> Iterator[str]:
    """Which times are not those of the record."""
    from specflow.replay.latency import USUAL

    if total["untimed_steps"]:
        yield f"{total['untimed_steps']} of {total['steps']} steps have no recorded time: 50 tokens/s."
    if total["untimed_calls"]:
        yield f"{total['untimed_calls']} of {total['calls']} calls have no recorded time: {USUAL}."
    if "user_seconds" in total:
        yield f"Users took {total['user_seconds']:.0f} s to answer, which are in no other figure."


def write_page(total: Row, file: Path, *, takes: str, real_time: bool) -> None:
    """Write the result as one HTML page, and say so on standard error.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    from specflow.replay.page import page

    try:
        file.write_text(page(total, takes=takes, real_time=real_time), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written: {error.strerror or error}") from error
    typer.echo(f"{file} is written", err=True)


def _figures(total: Row) -> Iterator[str]:
    together = {"the ensemble": total["ensemble"]} if total["ensemble"] else {}
    width = max(40, get_terminal_size((80, 24)).columns)
    for line in _long_figures({**total["predictors"], **together}):
        yield from wrap(line, width, subsequent_indent="    ", break_on_hyphens=False)


def _long_figures(predictors: Mapping[str, Row]) -> Iterator[str]:
    for name, row in predictors.items():
        yield (
            f"{name}: top-1 {row['top1']:.3f}, top-3 {row['top3']:.3f}, "
            f"precision {row['precision']:.3f}, recall {row['recall']:.3f} (n={row['n']})"
        )
        if "reads" not in row:
            continue
        first, every = row["reads"], row["every_step"]
        yield (
            f"  first calls that are reads: top-1 {first['top1']:.3f}{_between(first['top1_interval'])}, "
            f"top-3 {first['top3']:.3f}{_between(first['top3_interval'])} (n={first['n']})"
        )
        yield (
            f"  best guess of every step: recall {every['recall']:.3f}{_between(every['recall_interval'])} "
            f"at precision {every['precision']:.1f}, calibration error {every['ece']:.3f}"
            f"{_between(every['ece_interval'])} (n={every['n']})"
        )
        if took := row.get("milliseconds"):
            yield _time(took)
        for kind, what in LOST.items():
            entries = row["lost"][kind]
            if entries:
                named = ", ".join(f"{where} {count}" for where, count in list(entries.items())[:8])
                yield f"  {what} ({sum(entries.values())}): {named}"


def _time(took: dict[str, Any]) -> str:
    """How long a predictor takes; most of them either listen or foresee."""
    shortest, longest = took["messages"]
    said = {"prediction": "a prediction", "new_messages": "what is new", "both": "both"}
    parts = [
        f"{what} {took[name]['p50']:.2f} ms (p95 {took[name]['p95']:.2f})"
        for name, what in said.items()
        if name in took
    ]
    return f"  time after {shortest} to {longest} messages: {', '.join(parts)}, n={took['n']}"


def _between(interval: Sequence[float] | None) -> str:
    return f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


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
        f"          in chains {_of(row, 'chained_oracle')}; regret: "
        f"{row['regret_withheld_seconds']:.1f} s not started, {row['regret_late_seconds']:.1f} s late"
    )
    if row["run_oracle_seconds"] != row["chained_oracle_seconds"]:
        yield f"          had no read outlived its run, in chains {_of(row, 'run_oracle')}"
    yield f"          by whoever guesses no results, in chains {_of(row, 'known_oracle')}"
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


def _shares(rows: Mapping[str, Row]) -> Iterator[str]:
    from specflow.replay.shares import SAID

    said = {name: row for name, row in rows.items() if name in SAID and row["value"] is not None}
    if said:
        yield "what was saved is"
    for name, row in said.items():
        yield f"  {row['value']:.3f}{_between(row['interval'])} {SAID[name]}"


def _sets(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    yield "\nby predictors alone and together:"
    for row in rows:
        yield (
            f"  {'+'.join(row['set'])}: saved {_of(row, 'saved')}, regret {_of(row, 'regret')},\n"
            f"    {row['launched']} launched, {row['wasted_calls']} wasted"
        )


def _adds(rows: Mapping[str, Row]) -> Iterator[str]:
    if not rows:
        return
    yield "\nwhat each adds to the others:"
    for name, row in rows.items():
        between = row["intervals"]
        yield (
            f"  {name}: {row['saved_seconds']:+.1f} s saved{_between(between['saved_seconds'])}, "
            f"{row['launched']:+d} launched, {row['wasted_calls']:+d} wasted"
        )
