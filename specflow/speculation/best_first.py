"""The guesses of one step in the order in which they are considered: the most valuable first.

What comes first gets the room there is, and makes the next one worth less: only one guess of a step can be
right. So the order in which predictors happen to speak must not decide.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from specflow.effects.call import Call
from specflow.prediction.candidate import Candidate, Proposal, probability
from specflow.speculation.believe import believed
from specflow.speculation.match import match_key
from specflow.speculation.parts import Parts
from specflow.speculation.turn import Turn
from specflow.speculation.weigh import source_of, stakes_of

log = logging.getLogger("specflow")


def best_first(parts: Parts, turn: Turn, proposals: Iterable[Proposal]) -> Iterator[Proposal]:
    """What one step has proposed, in order; what is taken back in between stays in its place."""
    step: list[Candidate] = []
    for proposal in proposals:
        if isinstance(proposal, Candidate):
            step.append(_taken(proposal))
        else:
            yield from _ordered(parts, turn, step)
            step.clear()
            yield proposal
    yield from _ordered(parts, turn, step)


def _taken(candidate: Candidate) -> Candidate:
    """As it is said now, whatever its predictor does with it afterwards."""
    return replace(candidate, call=Call(tool=candidate.call.tool, args=candidate.call.plain_args()))


def _ordered(parts: Parts, turn: Turn, step: list[Candidate]) -> list[Candidate]:
    if len(step) < 2:
        return list(step)
    try:
        return sorted(step, key=lambda candidate: _rank(parts, turn, candidate), reverse=True)
    except Exception as error:  # noqa: BLE001 - it is met again where each is considered, and told there
        log.debug("guesses are considered as they were proposed: %s", error)
        return list(step)


def _rank(parts: Parts, turn: Turn, candidate: Candidate) -> float:
    tool, confidence = parts.registry.get(candidate.call.tool), probability(candidate.confidence)
    if tool is None or confidence is None:
        return -math.inf
    now, settings = parts.clock.monotonic(), parts.judge.settings(tool)
    verdict = parts.judge.judge(tool, candidate.call, context=parts.context, tainted=candidate.tainted)
    writes = verdict.effect.writes
    key = match_key(candidate.call, settings.match, writes=writes)
    candidate, _ = believed(parts, turn.outlook, key, candidate, writes=writes)
    likely = parts.odds.bound(source_of(parts, turn, candidate, 0, now), candidate.confidence)
    stakes = stakes_of(parts, turn, tool.name, settings, writes=writes, likely=likely, depth=0, now=now)
    return stakes.value()
