"""The misfires on a replay's page: a stack for each predictor, and tables by predictor and by tool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from specflow.replay.page_table import Cell, Found, figure_of, head, table
from specflow.replay.plot import stacks
from specflow.speculation.misfire import Misfire

KINDS = tuple(str(kind) for kind in Misfire)
WORDS = tuple(kind.replace("_", " ") for kind in KINDS)


def misfires(found: Found) -> Iterator[str]:
    """What was wrong with early calls that nobody adopted, by predictor and by tool."""
    counted = found["misfires_by_predictor"]
    if not counted:
        return
    yield head(
        "Misfires", "Early calls that nobody adopted, by what was wrong with them. Each has one class."
    )
    rows = [(name, [row[kind] for kind in KINDS]) for name, row in counted.items()]
    yield stacks("misfires", "Misfires by predictor and class", "A stack for each predictor.", rows, WORDS)
    seen = [(kind, word) for kind, word in zip(KINDS, WORDS, strict=True) if found["misfires"][kind]]
    headings = (*(word for _, word in seen), "all", "n")
    of_all: list[Cell] = [
        "all",
        *(figure_of(found, "misfires", kind, between=("intervals", "misfires", kind)) for kind, _ in seen),
        figure_of(found, "wasted_calls", between=("intervals", "wasted_calls")),
        figure_of(found, "launched", between=("intervals", "launched")),
    ]
    for side in ("by_predictor", "by_tool"):
        word = side.removeprefix("by_")
        rows_of_side = [
            _row(found, side, name, [kind for kind, _ in seen]) for name in found[f"misfires_{side}"]
        ]
        about = f"Of {found['launched']} early calls, by {word}; n: early calls of the {word}"
        yield table(about, (word, *headings), [*rows_of_side, of_all])


def _row(found: Found, side: str, name: str, kinds: Sequence[str]) -> Sequence[Cell]:
    counts, between = f"misfires_{side}", ("intervals", f"misfires_{side}", name)
    return [
        name,
        *(figure_of(found, counts, name, kind, between=(*between, kind)) for kind in kinds),
        figure_of(found, side, name, "wasted_calls", between=(*between, "all")),
        figure_of(found, side, name, "launched"),
    ]
