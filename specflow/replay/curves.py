"""Precision against recall, and confidence against what came of it: the points of both curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specflow.replay.guesses import Guess
from specflow.replay.interval import interval_of_sums
from specflow.replay.quality import BINS

THRESHOLDS = tuple(step / 20 for step in range(20))


def precision_recall(guesses: Sequence[Guess]) -> list[dict[str, Any]]:
    """For thresholds of confidence from 0 to 0.95: of the best guess at a read in each step, how many are
    that sure (`n`), the share of these that is the read that came first (`precision`), and the share of such
    reads that is found (`recall`). With 95 % intervals over tasks.
    """
    found = []
    for threshold in THRESHOLDS:
        rows = [(guess.task, _at(guess, threshold)) for guess in guesses]
        made, right, wanted = (
            (sum(column) for column in zip(*(row for _, row in rows), strict=True)) if rows else (0, 0, 0)
        )
        if made:
            found.append(
                {
                    "threshold": threshold,
                    "n": int(made),
                    "precision": round(right / made, 4),
                    "precision_interval": interval_of_sums(rows, lambda sums: _share(sums[1], sums[0])),
                    "recall": round(_share(right, wanted), 4),
                    "recall_interval": interval_of_sums(rows, lambda sums: _share(sums[1], sums[2])),
                }
            )
    return found


def reliability(guesses: Sequence[Guess]) -> list[dict[str, Any]]:
    """For ten bins of confidence that hold anything: the mean confidence (`said`) and the share that was
    right (`came`), with its 95 % interval over tasks.
    """
    bins: list[list[Guess]] = [[] for _ in range(BINS)]
    for guess in guesses:
        if guess.confidence:
            bins[min(BINS - 1, int(guess.confidence * BINS))].append(guess)
    return [
        {
            "from": at / BINS,
            "to": (at + 1) / BINS,
            "n": len(held),
            "said": round(sum(guess.confidence for guess in held) / len(held), 4),
            "came": round(sum(guess.right for guess in held) / len(held), 4),
            "came_interval": interval_of_sums(
                [(guess.task, (1.0, float(guess.right))) for guess in held],
                lambda sums: _share(sums[1], sums[0]),
            ),
        }
        for at, held in enumerate(bins)
        if held
    ]


def _at(guess: Guess, threshold: float) -> tuple[float, float, float]:
    made = guess.confidence > 0 and guess.confidence >= threshold
    return float(made), float(made and guess.right), float(guess.read)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
