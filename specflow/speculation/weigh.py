"""Weighing one guess: what is known of its tool, its predictor and its turn, put into the gate's formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from specflow.policy.settings import ToolSettings
from specflow.policy.verdict import Verdict
from specflow.prediction.candidate import Candidate
from specflow.speculation.believe import CERTAIN
from specflow.speculation.gate import Stakes
from specflow.speculation.odds import Source
from specflow.speculation.parts import Parts
from specflow.speculation.turn import Outlook, Turn

MAX_PER_TURN = 64
"""Early calls one model turn can start, whatever its text says."""

DEEPEST_BUCKET = 3
"""Guesses on top of more than that many others fare alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Whether to launch: `cause` says why not, in one word, and is empty for go. Money in USD.

    `waits`: it is only room that is missing, and it may be considered again. `facts` are the numbers.
    """

    cause: str = ""
    value: float = 0.0
    probability: float = 0.0
    source: Source
    waits: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


def weigh(
    parts: Parts,
    outlook: Outlook,
    candidate: Candidate,
    settings: ToolSettings,
    verdict: Verdict,
) -> Weighed:
    """The gate's decision about a launch that the policy allows: `confidence`, `value`, `budget`, or go.

    Under a hypothesis, the probability is the product along the path.
    """
    turn, above, now = outlook.turn, outlook.branch, parts.clock.monotonic()
    path_odds, depth = (1.0, 0) if above is None else (above.odds, above.depth + 1)
    source = source_of(parts, turn, candidate, depth, now)
    likely = path_odds * parts.odds.bound(source, candidate.confidence)
    tool, writes = candidate.call.tool, verdict.effect.writes
    stakes = stakes_of(parts, turn, tool, settings, writes=writes, likely=likely, depth=depth, now=now)
    value = stakes.value(_others_wrong(outlook, candidate))
    facts: dict[str, Any] = {"value": value, "probability": likely}
    if stakes.saved is not None:
        facts["expected_saved"] = stakes.saved

    def decided(cause: str, *, waits: bool = False, **more: Any) -> Weighed:
        return Weighed(
            cause=cause,
            value=value,
            probability=likely,
            source=source,
            waits=waits,
            facts={**facts, **more},
        )

    if candidate.confidence * path_odds < verdict.min_confidence:
        return decided("confidence", needed=verdict.min_confidence)
    if not value > 0.0:
        return decided("value")
    if turn.launched >= MAX_PER_TURN:
        return decided("budget", budget="per_turn")
    budget = turn.session.spending.short_of(
        tool,
        settings,
        parts.judge.budgets,
        live=turn.session.pending,
        confidence=candidate.confidence,
        writes=writes,
        depth=depth,
        now=now,
    )
    return decided("budget", budget=budget, waits=budget != "max_depth") if budget else decided("")


def stakes_of(
    parts: Parts,
    turn: Turn,
    tool: str,
    settings: ToolSettings,
    *,
    writes: bool,
    likely: float,
    depth: int,
    now: float,
) -> Stakes:
    """What is to win and to lose. A guess on top of another one may be needed after more than this turn."""
    durations = parts.durations
    undoing = durations.expected(settings.undo.tool) if writes and settings.undo is not None else None
    return Stakes(
        probability=likely,
        worth=parts.judge.budgets.usd_per_second,
        takes=durations.expected(tool),
        runway=parts.turns.remaining(turn.agent, now - turn.started) if depth == 0 else None,
        undoing=undoing,
        cost=settings.cost_usd,
        undo_cost=settings.undo_usd if writes else 0.0,
        visible_cost=settings.visible_usd if writes else 0.0,
    )


def source_of(parts: Parts, turn: Turn, candidate: Candidate, depth: int, now: float) -> Source:
    """Whose guess it is, in which half of the turn, and on top of how many others."""
    usual = parts.turns.expected(turn.agent)
    half = "" if usual is None else "first" if now - turn.started < usual / 2 else "second"
    bucket = f"{half}/{min(depth, DEEPEST_BUCKET)}"
    return Source(tool=candidate.call.tool, predictor=candidate.predictor, bucket=bucket)


def _others_wrong(outlook: Outlook, candidate: Candidate) -> float:
    """The probability that the guesses of this step that are started already are all wrong."""
    if candidate.predictor in CERTAIN:
        return 1.0
    turn, wrong = outlook.turn, 1.0
    for other in turn.session.pending:
        same_step = other.turn_id == turn.turn_id and other.above is outlook.branch
        if same_step and other.candidate.predictor not in CERTAIN:
            wrong *= 1.0 - other.probability
    return wrong
