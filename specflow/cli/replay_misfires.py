"""How the misfires of a replay are said to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MISFIRES = {
    "wrong_tool": "wrong tool",
    "wrong_argument": "wrong argument",
    "stale": "stale",
    "too_early": "too early",
    "negated": "negated",
    "duplicate": "duplicate",
    "unpolicied": "not allowed",
    "failed": "failed early",
    "undecided": "undecided",
}
"""What the classes are called in a sentence."""


def misfires_said(total: Mapping[str, Any]) -> Iterator[str]:
    """A line for each predictor that has any."""
    rows = total.get("misfires_by_predictor", {})
    if rows:
        yield "misfires, by what was wrong:"
    for name, counts in rows.items():
        said = [f"{count} {MISFIRES[kind]}" for kind, count in counts.items() if count]
        between = total["intervals"]["misfires_by_predictor"][name]["all"]
        around = f" [{between[0]:.0f}, {between[1]:.0f}]" if between else ""
        yield f"  {name}: {sum(counts.values())}{around} ({', '.join(said)})"
