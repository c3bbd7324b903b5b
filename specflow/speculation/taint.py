"""Whether a foreseen call carries what came out of a tool's result: then the policy is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import HistoryItem

SHORT = 3
"""Characters below which a value says nothing about where it comes from."""


def taken_from_results(candidate: Candidate, history: Sequence[HistoryItem]) -> Candidate:
    """The candidate, tainted when a value in its arguments stands in a result and in no words of the user.

    Predictors should say so themselves; this is for those that forget.
    """
    if candidate.tainted:
        return candidate
    values = [value for value in _leaves(candidate.call.args) if len(value) >= SHORT]
    if not values:
        return candidate
    said = "\n".join(item.text for item in history if item.role == "user")
    results = "\n".join(item.text for item in history if item.role == "tool")
    tainted = any(value in results and value not in said for value in values)
    return replace(candidate, tainted=True) if tainted else candidate


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict) or hasattr(value, "items"):
        for key, item in value.items():
            yield str(key) if isinstance(value, dict) else ""
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
