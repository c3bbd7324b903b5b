"""How the sweeps of a replay are said to people: a row for each value, below one heading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

Row = Mapping[str, Any]

COLUMNS = ("hits", "launched", "wasted", "saved", "oracle", "regret", "precision", "recall")


def sweeps_said(total: Row) -> Iterator[str]:
    """The rows of every sweep; nothing where none was asked for."""
    for sweep, rows in groupby(total.get("sweep", ()), key=lambda row: str(row["sweep"])):
        yield from _table(sweep, [(str(row["value"]), row) for row in rows])


def shuffled_said(total: Row) -> Iterator[str]:
    """What is left when the words of every answer are shuffled, beside what there was."""
    row = total.get("shuffled")
    if row is None:
        return
    yield from _table(f"words, seed {row['seed']}", [("as spoken", _short(total)), ("shuffled", row)])
    for name, figures in row["predictors"].items():
        own = total["predictors"][name]
        yield (
            f"  {name}: precision {own['precision']:.3f} -> {figures['precision']:.3f}, "
            f"recall {own['recall']:.3f} -> {figures['recall']:.3f}"
        )


def _short(total: Row) -> Row:
    from specflow.replay.variants import short

    return short(dict(total))


def _table(heading: str, rows: list[tuple[str, Row]]) -> Iterator[str]:
    lines = [(heading, *COLUMNS), *((name, *_cells(row)) for name, row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    yield ""
    for line in lines:
        first, *others = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join([first, *others]).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    return (
        str(row["hits"]),
        str(row["launched"]),
        str(row["wasted_calls"]),
        *(f"{row[f'{part}_seconds']:.1f} s" for part in ("saved", "oracle", "regret")),
        f"{row['precision']:.3f}",
        f"{row['recall']:.3f}",
    )
