"""The figures of a predictor: how often it is right, how sure it may be, and where the rest is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from specflow.replay.guesses import Guess
from specflow.replay.interval import interval

PRECISION = 0.8
BINS = 10


def quality(guesses: Sequence[Guess]) -> dict[str, Any]:
    """The figures as programs read them, with 95 % intervals over tasks.

    `reads` is over messages whose first call is a read: `top1` and `top3` say how often that very call was
    the best guess, or among the best three. `every_step` takes, of every answer of the model, replies
    included, the best guess that is a read (no other is started, so no other is right or wrong). It is right
    when the message asks for it: `recall` is the largest share of those reads that is guessed by a threshold
    of confidence at which `precision` of the guesses are right; `recall_first` counts those alone as right
    with which the message begins; `ece` is the expected calibration error (10 bins of equal width),
    `ece_said` that of what the predictor said itself. `by_tool` is what comes of thresholds that nobody chose
    afterwards: for each tool that which its earlier guesses called for at that `precision`.
    """
    first = [guess for guess in guesses if guess.read]
    lost = Counter(reason for guess in first for reason in guess.lost)
    threshold = best_threshold(guesses)
    return {
        "tasks": len({guess.task for guess in guesses}),
        "reads": {
            "n": len(first),
            "top1": round(top(first, 1), 4),
            "top1_interval": interval(first, lambda drawn: top(drawn, 1)),
            "top3": round(top(first, 3), 4),
            "top3_interval": interval(first, lambda drawn: top(drawn, 3)),
        },
        "every_step": {
            "n": len(guesses),
            "precision": PRECISION,
            "threshold": None if threshold is None else round(threshold, 4),
            "recall": round(recall(guesses), 4),
            "recall_interval": interval(guesses, recall),
            "recall_first": round(recall(strictly(guesses)), 4),
            "ece": round(calibration_error(guesses), 4),
            "ece_interval": interval(guesses, calibration_error),
            "ece_said": round(calibration_error([replace(one, confidence=one.said) for one in guesses]), 4),
            "by_tool": {
                "n": sum(guess.enough for guess in guesses),
                "precision": round(precise(guesses), 4),
                "precision_interval": interval(guesses, precise),
                "recall": round(recalled(guesses), 4),
                "recall_interval": interval(guesses, recalled),
            },
        },
        "lost": {
            kind: {
                reason.partition(":")[2]: count
                for reason, count in lost.most_common()
                if reason.startswith(f"{kind}:")
            }
            for kind in ("name", "argument", "nowhere")
        },
    }


def strictly(guesses: Sequence[Guess]) -> Sequence[Guess]:
    """The same, where those alone are right, and wanted, with which the message begins."""
    return [replace(one, right=one.begins, wanted=one.read) for one in guesses]


def top(guesses: Sequence[Guess], most: int) -> float:
    """The share of guesses with the first call among the best `most`."""
    return sum(0 <= guess.place < most for guess in guesses) / len(guesses) if guesses else 0.0


def precise(guesses: Sequence[Guess]) -> float:
    """Of the guesses that were likely enough by the threshold of their tool at the time, the share of reads
    that were right.
    """
    made = [guess for guess in guesses if guess.enough]
    return sum(guess.right for guess in made) / len(made) if made else 0.0


def recalled(guesses: Sequence[Guess]) -> float:
    """Right guesses among these, over the messages that ask for a read."""
    wanted = sum(guess.wanted for guess in guesses)
    return sum(guess.enough and guess.right for guess in guesses) / wanted if wanted else 0.0


def best_threshold(guesses: Sequence[Guess]) -> float | None:
    """The lowest confidence from which on `PRECISION` of the guesses are right; None if there is none."""
    return _best(guesses)[1]


def recall(guesses: Sequence[Guess]) -> float:
    """Right guesses from that confidence on, over the messages that ask for a read."""
    wanted = sum(guess.wanted for guess in guesses)
    return _best(guesses)[0] / wanted if wanted else 0.0


def _best(guesses: Sequence[Guess]) -> tuple[int, float | None]:
    ordered = sorted((guess for guess in guesses if guess.confidence), key=lambda guess: -guess.confidence)
    right, best, threshold = 0, 0, None
    for count, guess in enumerate(ordered, start=1):
        right += guess.right
        last = count == len(ordered) or ordered[count].confidence < guess.confidence
        if last and right > best and right >= PRECISION * count:
            best, threshold = right, guess.confidence
    return best, threshold


def calibration_error(guesses: Sequence[Guess]) -> float:
    """How far, on average, the confidence is from the share of right guesses (Naeini et al. 2015)."""
    if not guesses:
        return 0.0
    sums = [[0.0, 0.0] for _ in range(BINS)]
    for guess in guesses:
        entry = sums[min(BINS - 1, int(guess.confidence * BINS))]
        entry[0] += guess.confidence
        entry[1] += guess.right
    return sum(abs(said - came) for said, came in sums) / len(guesses)
