"""The parts of a replay's page: each a heading, a plot, and the figures of the plot in a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from specflow.replay.page_table import Cell, figure_of, head, table
from specflow.replay.plot import Bar, Line, Point, bars, curves, stacks
from specflow.speculation.misfire import Misfire

Found = Mapping[str, Any]
Part = Callable[[Found], Iterator[str]]
KINDS = tuple(str(kind) for kind in Misfire)
WORDS = tuple(kind.replace("_", " ") for kind in KINDS)


def saved(found: Found) -> Iterator[str]:
    """Saved time by predictor, with the bound and the regret."""
    sets = found.get("by_predictor_set") or []
    if not sets:
        return
    about = (
        "Each set of predictors replayed by itself. The line across a bar is the oracle: what right guesses, "
        "made at once, would have saved one step ahead under the same policy. The regret is what the set's "
        "own right guesses could have saved, minus what they saved."
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
        "regret_seconds": 1,
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


def precision(found: Found) -> Iterator[str]:
    """Precision against recall, for every predictor that is sure of anything."""
    known = {name: row["curve"] for name, row in found["predictors"].items() if row.get("curve")}
    if not known:
        return
    about = (
        "The best guess at a read in every step, from a threshold of confidence on: the share of these "
        "guesses that is the read which came first (precision), and the share of such reads that is found "
        "(recall)."
    )
    yield head("Precision and recall, by threshold", about)
    lines = [
        Line(
            name=name,
            points=[
                Point(x=one["recall"], y=one["precision"], interval=one["precision_interval"])
                for one in curve
            ],
        )
        for name, curve in known.items()
    ]
    yield curves(
        "recall",
        "Precision against recall",
        "A line for each predictor.",
        lines,
        across="recall",
        up="precision",
    )
    rows: list[list[Cell]] = []
    for name, curve in known.items():
        for number, one in enumerate(curve):
            if round(one["threshold"] * 20) % 4 == 0:
                where = ("predictors", name, "curve", number)
                rows.append(
                    [
                        name,
                        figure_of(found, *where, "threshold", digits=2),
                        figure_of(
                            found, *where, "precision", digits=3, between=(*where, "precision_interval")
                        ),
                        figure_of(found, *where, "recall", digits=3, between=(*where, "recall_interval")),
                        figure_of(found, *where, "n"),
                    ]
                )
    yield table(
        "Every fourth threshold; n: guesses that sure",
        ("predictor", "from", "precision", "recall", "n"),
        rows,
    )


def calibration(found: Found) -> Iterator[str]:
    """How often a guess is right, by how sure the predictor was."""
    known = {name: row["reliability"] for name, row in found["predictors"].items() if row.get("reliability")}
    if not known:
        return
    about = "Who says 0.7 should be right seven times in ten: on the dashed line. Below it, it is too sure."
    yield head("Calibration", about)
    lines = [
        Line(
            name=name,
            points=[Point(x=one["said"], y=one["came"], interval=one["came_interval"]) for one in held],
        )
        for name, held in known.items()
    ]
    yield curves(
        "reliability",
        "Reliability diagram",
        "Said confidence against the share that was right.",
        lines,
        across="confidence",
        up="share that was right",
        diagonal=True,
    )
    rows: list[list[Cell]] = []
    for name, held in known.items():
        for number, _ in enumerate(held):
            where = ("predictors", name, "reliability", number)
            rows.append(
                [
                    name,
                    figure_of(found, *where, "said", digits=3),
                    figure_of(found, *where, "came", digits=3, between=(*where, "came_interval")),
                    figure_of(found, *where, "n"),
                ]
            )
    yield table("Ten bins of confidence", ("predictor", "said", "came true", "n"), rows)


def misfires(found: Found) -> Iterator[str]:
    """What was wrong with early calls that nobody adopted."""
    counted = found["misfires_by_predictor"]
    if not counted:
        return
    yield head(
        "Misfires", "Early calls that nobody adopted, by what was wrong with them. Each has one class."
    )
    rows = [(name, [row[kind] for kind in KINDS]) for name, row in counted.items()]
    yield stacks("misfires", "Misfires by predictor and class", "A stack for each predictor.", rows, WORDS)
    seen = [(kind, word) for kind, word in zip(KINDS, WORDS, strict=True) if found["misfires"][kind]]
    yield table(
        f"Of {found['launched']} early calls; n: early calls of the predictor",
        ("predictor", *(word for _, word in seen), "n"),
        [
            *(
                [
                    name,
                    *(figure_of(found, "misfires_by_predictor", name, kind) for kind, _ in seen),
                    figure_of(found, "by_predictor", name, "launched"),
                ]
                for name in counted
            ),
            [
                "all",
                *(
                    figure_of(found, "misfires", kind, between=("intervals", "misfires", kind))
                    for kind, _ in seen
                ),
                figure_of(found, "launched", between=("intervals", "launched")),
            ],
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
