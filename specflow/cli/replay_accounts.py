"""Saved seconds, wasted calls and money, beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]
HEADINGS = ("launched", "adopted", "wasted", "hidden s", "wasted s", "wasted USD")
LONGEST = 30


def account_said(total: Row) -> Iterator[str]:
    """A line for each tool and each predictor of which anything was started early, and the sums."""
    rows = {
        **{name: row for name, row in total["by_predictor"].items() if row["launched"]},
        **{f"  {name}": row for name, row in total["by_tool"].items() if row["launched"]},
    }
    money = total["money"]
    yield ""
    if rows:
        yield from _table(rows)
    yield (
        f"money: saved {total['saved_seconds']:.1f} s, worth {money['saved_usd']:.2f} USD; "
        f"{total['wasted_calls']} wasted calls, {money['wasted_usd']:.2f} USD; "
        f"net {money['net_usd']:.2f} USD"
    )
    yield f"  (the {total['calls']} real calls cost {money['calls_usd']:.2f} USD, with and without)"


def _table(rows: Mapping[str, Row]) -> Iterator[str]:
    lines = [
        ("by predictor, by tool", *HEADINGS),
        *((_name(name), *_cells(row)) for name, row in rows.items()),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells)


def _name(text: str) -> str:
    # A tool's name is data: nothing in it may move the cursor or make a line of its own.
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 3] + "..."


def _cells(row: Row) -> tuple[str, ...]:
    return (
        *(str(row[part]) for part in ("launched", "adopted", "wasted_calls")),
        *(f"{row[part]:.1f}" for part in ("hidden_seconds", "wasted_seconds")),
        f"{row['wasted_usd']:.4f}",
    )
