"""One frozen record per transition of the core, and the observers who may see it.

The journal is awaited and may fail a call; observers may not: one exception disables an observer, once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from specflow.effects.call import Call
from specflow.policy.verdict import Verdict
from specflow.prediction.candidate import Candidate

log = logging.getLogger("specflow")


class EventKind(StrEnum):
    """What happened to a turn, a speculation, a real call or an effect."""

    TURN_STARTED = "turn_started"
    TURN_ENDED = "turn_ended"
    PROPOSED = "proposed"
    WITHHELD = "withheld"
    RETRACTED = "retracted"
    LAUNCHED = "launched"
    RUN_STARTED = "run_started"
    RUN_ENDED = "run_ended"
    KEPT = "kept"
    CARRIED = "carried"
    RESOLVED = "resolved"
    VERIFIED = "verified"
    DIVERGED = "diverged"
    BRANCH_OPENED = "branch_opened"
    BRANCH_DECIDED = "branch_decided"
    MODEL_CALL_RESOLVED = "model_call_resolved"
    CALL_STARTED = "call_started"
    CALL_ENDED = "call_ended"
    CONFIRMATION_ASKED = "confirmation_asked"
    CONFIRMATION_ANSWERED = "confirmation_answered"
    COMPENSATION_STARTED = "compensation_started"
    COMPENSATION_ENDED = "compensation_ended"
    SETTLED = "settled"
    CONVERSATION_BRANCHED = "conversation_branched"


class Outcomes(StrEnum):
    """How a speculation, or the look-up of a real call, ended."""

    HIT = "hit"
    LATE = "late"
    MISS = "miss"
    STALE = "stale"
    CANCELLED = "cancelled"
    COMPENSATED = "compensated"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """One transition. `at` is the runtime's monotonic clock, in seconds.

    `turn_id` joins what one model call started; `speculation_id` joins an early run with the real
    call that adopted it; `call_id` is one real call (tool_call_id and more). Which ids and facts are
    there depends on `kind`; absent ones are empty. Facts in seconds: `runway`, `saved`, `wasted`; `result` is
    what a policy reads of what the tool returned, as it is: neither redacted nor a copy.
    `branch_id` is the hypothesis that an early call is done under, or that is opened or decided (of those
    about a pending call's result), `parent_id` the one above it, or above a proposal.
    `group` is that of the conversation in a canary (`canary` or `control`). `key` is that under which a
    call is looked up: equal keys are one call. `misfire` says what was wrong with a speculation that ended
    without being adopted (see `speculation.misfire`), as far as it was known then. An early read that is
    `kept` goes on when its session ends: it is `carried` into a later one of its conversation, or else
    resolved in its own, with the fact `kept`.
    """

    kind: EventKind
    at: float
    session_id: str = ""
    thread: str = ""
    group: str = ""
    turn_id: str = ""
    speculation_id: str = ""
    call_id: str = ""
    effect_id: str = ""
    branch_id: str = ""
    parent_id: str = ""
    call: Call | None = None
    candidate: Candidate | None = None
    verdict: Verdict | None = None
    outcome: str = ""
    cause: str = ""
    error: str = ""
    key: str = ""
    misfire: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Observer(Protocol):
    """Sees every event, in order, on the thread of the run. Must be quick; must not raise."""

    def see(self, event: CallEvent) -> None: ...


class Observers:
    """Hands events on; an observer that raises is dropped, once, with a line in the log."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        """Let one more observer see what happens from now on."""
        self._observers.append(observer)

    def see(self, event: CallEvent) -> None:
        """Hand the event to every observer that still works."""
        for observer in tuple(self._observers):
            try:
                observer.see(event)
            except Exception:
                self._observers = [other for other in self._observers if other is not observer]
                log.exception("observer %r failed and is switched off", type(observer).__name__)
