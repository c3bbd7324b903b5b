"""The curves of a replay's page: precision against recall, and what was believed against what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from specflow.replay.page_table import Cell, Found, figure_of, head, table
from specflow.replay.plot import Line, Point, curves


def _rows(found: Found) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Where the figures of each predictor stand, and of the ensemble if there is one, with them."""
    for name, row in found["predictors"].items():
        yield ("predictors", name), row
    if found.get("ensemble"):
        yield ("ensemble",), found["ensemble"]


def precision(found: Found) -> Iterator[str]:
    """Precision against recall, for every predictor that is sure of anything."""
    known = {where: row["curve"] for where, row in _rows(found) if row.get("curve")}
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
            name=where[-1],
            points=[
                Point(x=one["recall"], y=one["precision"], interval=one["precision_interval"])
                for one in curve
            ],
        )
        for where, curve in known.items()
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
    for where, curve in known.items():
        for number, one in enumerate(curve):
            if round(one["threshold"] * 20) % 4 == 0:
                point = (*where, "curve", number)
                rows.append(
                    [
                        where[-1],
                        figure_of(found, *point, "threshold", digits=2),
                        figure_of(
                            found, *point, "precision", digits=3, between=(*point, "precision_interval")
                        ),
                        figure_of(found, *point, "recall", digits=3, between=(*point, "recall_interval")),
                        figure_of(found, *point, "n"),
                    ]
                )
    yield table(
        "Every fourth threshold; n: guesses that sure",
        ("predictor", "from", "precision", "recall", "n"),
        rows,
    )


def calibration(found: Found) -> Iterator[str]:
    """How often a guess is right, by how sure the predictor was."""
    known = {where: row["reliability"] for where, row in _rows(found) if row.get("reliability")}
    if not known:
        return
    about = (
        "What is believed at 0.7 should be right seven times in ten: on the dashed line. Below it too much "
        "is believed."
    )
    if found.get("ensemble"):
        about += " The line of the ensemble is what all that guess are believed together."
    yield head("Calibration", about)
    lines = [
        Line(
            name=where[-1],
            points=[Point(x=one["said"], y=one["came"], interval=one["came_interval"]) for one in held],
        )
        for where, held in known.items()
    ]
    yield curves(
        "reliability",
        "Reliability diagram",
        "Confidence against the share that was right.",
        lines,
        across="confidence",
        up="share that was right",
        diagonal=True,
    )
    rows: list[list[Cell]] = []
    for where, held in known.items():
        for number, _ in enumerate(held):
            held_in = (*where, "reliability", number)
            rows.append(
                [
                    where[-1],
                    figure_of(found, *held_in, "said", digits=3),
                    figure_of(found, *held_in, "came", digits=3, between=(*held_in, "came_interval")),
                    figure_of(found, *held_in, "n"),
                ]
            )
    yield table("Ten bins of confidence", ("predictor", "said", "came true", "n"), rows)
