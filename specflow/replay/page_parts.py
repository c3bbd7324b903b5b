"""The parts of a replay's page: each a heading, a plot, and the figures of the plot in a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from specflow.replay.adds import ADDED
from specflow.replay.page_curves import calibration, precision
from specflow.replay.page_misfires import misfires
from specflow.replay.page_table import Found, figure_of, head, table
from specflow.replay.plot import Bar, bars

Part = Callable[[Found], Iterator[str]]


def saved(found: Found) -> Iterator[str]:
    """Saved time by predictor, with the bound and the regret."""
    sets = found.get("by_predictor_set") or []
    if not sets:
        return
    about = (
        "Each set of predictors replayed by itself. The line across a bar is the oracle: what right guesses, "
        "made at once, would have saved one step ahead under the same policy. The regret is what the set's "
        "own right guesses could have saved, minus what they saved: lost to guesses that were not started "
        "(withheld), or were started late. The chained oracle looks several steps ahead, until somebody "
        "speaks, or as far as reads may outlive their run; the run oracle is the same had none done so, and "
        "the known oracle that of whoever guesses no results: calls begin when their values are known."
    )
    yield head("Saved time, by predictor", about)
    names = [
        "together" if number == 0 and len(sets) > 1 else " + ".join(row["set"])
        for number, row in enumerate(sets)
    ]
    rows = [
        Bar(
            label=name,
            value=row["saved_seconds"],
            interval=row["intervals"]["saved_seconds"],
            marks=[row["oracle_seconds"]],
            colour=number,
        )
        for number, (name, row) in enumerate(zip(names, sets, strict=True))
    ]
    yield bars(
        "saved", "Saved seconds by predictor", "Bars with intervals; the oracle as a line.", rows, unit=" s"
    )
    parts = {
        "saved_seconds": 1,
        "oracle_seconds": 1,
        "chained_oracle_seconds": 1,
        "run_oracle_seconds": 1,
        "known_oracle_seconds": 1,
        "regret_seconds": 1,
        "regret_withheld_seconds": 1,
        "regret_late_seconds": 1,
        "regret_begun_late_seconds": 1,
        "wasted_seconds": 1,
        "launched": 0,
        "wasted_calls": 0,
        "wasted_usd": 2,
    }
    yield table(
        f"Of {found['runs']} runs of {found['intervals']['tasks']} tasks",
        ("predictors", *(part.replace("_seconds", " s").replace("_", " ") for part in parts)),
        [
            [
                name,
                *(
                    figure_of(
                        found,
                        "by_predictor_set",
                        number,
                        part,
                        digits=digits,
                        between=("by_predictor_set", number, "intervals", part),
                    )
                    for part, digits in parts.items()
                ),
            ]
            for number, name in enumerate(names)
        ],
    )
    if found.get("adds"):
        yield table(
            "What each predictor adds to the others: all together, minus all but that one",
            ("predictor", *(part.replace("_seconds", " s").replace("_", " ") for part in ADDED)),
            [
                [
                    name,
                    *(
                        figure_of(
                            found,
                            "adds",
                            name,
                            part,
                            digits=1 if digits else 0,
                            between=("adds", name, "intervals", part),
                        )
                        for part, digits in ADDED.items()
                    ),
                ]
                for name in found["adds"]
            ],
        )


def latency(found: Found) -> Iterator[str]:
    """Seconds of a step, before and after."""
    yield head("Seconds of a step", "Model and tools, in sequence and with speculation, by nearest rank.")
    sides, ranks = (("sequential", "in sequence"), ("speculative", "early")), ("p50", "p95", "p99")
    rows = [
        Bar(
            label=f"{rank}, {word}",
            value=found["latency"][side][rank],
            interval=found["intervals"]["latency"][side][rank],
            colour=number,
        )
        for rank in ranks
        for number, (side, word) in enumerate(sides)
    ]
    yield bars(
        "latency", "Seconds of a step", "Pairs of bars: in sequence, and with speculation.", rows, unit=" s"
    )
    yield table(
        f"Seconds, of {found['steps']} steps",
        ("", *ranks),
        [
            [
                word,
                *(
                    figure_of(
                        found, "latency", side, rank, digits=2, between=("intervals", "latency", side, rank)
                    )
                    for rank in ranks
                ),
            ]
            for side, word in sides
        ],
    )


PARTS: tuple[Part, ...] = (saved, precision, calibration, misfires, latency)
"""In the order of the page."""
