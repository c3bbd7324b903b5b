"""The parts of a replay's page that are tables only: money by tool, loose matches, sweeps."""

from __future__ import annotations

from collections.abc import Iterator

from specflow.replay.page_parts import Part
from specflow.replay.page_table import Cell, Found, figure_of, head, table


def money(found: Found) -> Iterator[str]:
    """What early calls of each tool brought and cost."""
    tools = [name for name, row in found["by_tool"].items() if row["launched"]]
    if not tools:
        return
    yield head("Time and money, by tool", "Hidden is tool time for which the real calls did not wait.")
    parts = (("hidden_seconds", 1), ("wasted_seconds", 1), ("wasted_usd", 4))
    counts = ("launched", "adopted", "wasted_calls")
    yield table(
        "Early calls",
        ("tool", "launched", "adopted", "wasted", "hidden s", "wasted s", "wasted USD"),
        [
            [
                name,
                *(figure_of(found, "by_tool", name, count) for count in counts),
                *(figure_of(found, "by_tool", name, part, digits=digits) for part, digits in parts),
            ]
            for name in tools
        ],
    )


def sweeps(found: Found) -> Iterator[str]:
    """The rows of the sweeps, and of the shuffled words."""
    swept: list[tuple[str, tuple[object, ...]]] = [
        (f"{row['sweep']} {row['value']}", ("sweep", number))
        for number, row in enumerate(found.get("sweep") or [])
    ]
    if found.get("shuffled"):
        swept.append((f"words shuffled, seed {found['shuffled']['seed']}", ("shuffled",)))
    if not swept:
        return
    yield head("Sweeps", "The same runs, played again with one thing changed.")
    yield table(
        "Precision: adopted among the launched; recall: adopted among the calls that may run early",
        ("", "hits", "launched", "wasted", "saved", "oracle", "regret", "precision", "recall"),
        [
            [
                name,
                *(figure_of(found, *where, count) for count in ("hits", "launched", "wasted_calls")),
                *(
                    figure_of(found, *where, part, digits=1, between=(*where, "intervals", part))
                    for part in ("saved_seconds", "oracle_seconds", "regret_seconds")
                ),
                *(figure_of(found, *where, share, digits=3) for share in ("precision", "recall")),
            ]
            for name, where in swept
        ],
    )


def loose(found: Found) -> Iterator[str]:
    """What loose match modes have changed."""
    if not found["loose"]["adopted"]:
        return
    about = (
        "Calls that were answered by an early call with other arguments, as the policy's match modes "
        "allow. A final answer would differ where it says something that only the recorded answer holds."
    )
    yield head("Loose matches", about)
    parts = {
        "adopted": "adopted",
        "same": "the same answer",
        "different": "another answer",
        "unknown": "answer not recorded",
        "runs": "runs with either",
        "final_answers": "final answers that would differ",
    }
    row: list[Cell] = [f"{found['runs']} runs", *(figure_of(found, "loose", part) for part in parts)]
    yield table("Counts", ("", *parts.values()), [row])


REST: tuple[Part, ...] = (loose, money, sweeps)
"""In the order of the page, below the plots."""
