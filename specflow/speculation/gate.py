"""The gate: whether a launch that the policy allows is also worth it, and within the budgets."""

from __future__ import annotations

from collections.abc import Iterable

from specflow.policy.settings import Budgets, ToolSettings
from specflow.policy.verdict import Verdict
from specflow.prediction.candidate import Candidate
from specflow.speculation.pending import Speculation

MAX_PER_TURN = 64
"""Early calls one model turn can start, whatever its text says."""


def obstacle(
    candidate: Candidate,
    verdict: Verdict,
    settings: ToolSettings,
    budgets: Budgets,
    *,
    running: Iterable[Speculation],
    launched_in_turn: int,
    wasted_usd: float,
) -> str:
    """Why this candidate is not launched now: `confidence`, `budget`, or empty for go.

    `running` are the session's early calls in flight; `wasted_usd` what its wrong guesses have cost.
    """
    if candidate.confidence < verdict.min_confidence:
        return "confidence"
    if launched_in_turn >= MAX_PER_TURN:
        return "budget"
    in_flight = list(running)
    if len(in_flight) >= budgets.max_concurrent:
        return "budget"
    same_tool = sum(item.tool.name == candidate.call.tool for item in in_flight)
    if settings.max_concurrent is not None and same_tool >= settings.max_concurrent:
        return "budget"
    if settings.cost_usd and wasted_usd + settings.cost_usd > budgets.max_wasted_usd:
        return "budget"
    return ""
