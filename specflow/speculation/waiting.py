"""Guesses that lack nothing but room: they are considered again when there is some, the best first."""

from __future__ import annotations

import logging
from collections.abc import Callable

from specflow.prediction.candidate import Candidate
from specflow.speculation.session import Session
from specflow.speculation.turn import Turn, Waiting
from specflow.speculation.weigh import Weighed

log = logging.getLogger("specflow")


def wait_for_room(
    turn: Turn, key: str, candidate: Candidate, weighed: Weighed, *, again: Callable[[], object], now: float
) -> None:
    """Have it considered `again`, unless the turn ends first or its predictor takes it back."""
    session, spending = turn.session, turn.session.spending
    turn.wait(key, candidate.predictor, Waiting(call=candidate.call, value=weighed.value, again=again))
    spending.wait(turn, lambda: _reconsider(session))
    if weighed.facts["budget"] == "max_per_minute":
        spending.room_later(now)


def _reconsider(session: Session) -> None:
    turns = [turn for turn in session.spending.waiters() if isinstance(turn, Turn)]
    waiting = [(turn, name, item) for turn in turns for name, item in turn.waiting.items()]
    # Among equals the one that came first, as everywhere.
    for turn, name, item in sorted(waiting, key=lambda one: one[2].value, reverse=True):
        if turn.waiting.pop(name, None) is None:
            continue  # taken back, or over, by what the last one brought about
        try:
            item.again()
        except Exception:
            log.exception("%s has waited and could not be considered again", item.call.tool)
