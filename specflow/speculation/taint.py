"""Whether a foreseen call carries what came out of a tool's result: then the policy is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from specflow.effects.call import canonical_json
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import HistoryItem

TRUSTED = frozenset({"user", "system"})
"""Whose words are no result's."""

SHORT = 3
"""Characters below which a value says nothing about where it comes from."""


def taken_from_results(candidate: Candidate, history: Sequence[HistoryItem]) -> Candidate:
    """The candidate, tainted when a value in its arguments stands in a result and in no words of the user.

    For calls that the agent's own model asks for: what it says in its own words, it would say in any run.
    """
    values = [] if candidate.tainted else _telling(candidate)
    if not values:
        return candidate
    said = "\n".join(item.text for item in history if item.role == "user")
    results = "\n".join(item.text for item in history if item.role == "tool")
    tainted = any(value in results and value not in said for value in values)
    return replace(candidate, tainted=True) if tainted else candidate


def perhaps_from_results(
    candidate: Candidate, history: Sequence[HistoryItem], tool: ToolSpec | None
) -> Candidate:
    """The candidate, tainted when a value in its arguments may be from a result: there are results, and
    neither the user, nor the instructions, nor the tool's own schema say the value.

    For calls that somebody foresees. A value that stands nowhere counts as well: whoever foresees may have
    been talked by a result into spelling it otherwise. Predictors should say so themselves; this is for those
    that forget.
    """
    values = [] if candidate.tainted else _telling(candidate)
    if not values or not any(item.role == "tool" for item in history):
        return candidate
    said = [item.text for item in history if item.role in TRUSTED]
    if tool is not None:
        said += [tool.description, canonical_json(dict(tool.parameters))]
    trusted = "\n".join(said).casefold()
    tainted = any(value.casefold() not in trusted for value in values)
    return replace(candidate, tainted=True) if tainted else candidate


def _telling(candidate: Candidate) -> list[str]:
    return [value for value in _leaves(candidate.call.args) if len(value) >= SHORT]


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
