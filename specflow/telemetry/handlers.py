"""Which function handles which event kind. Read with the tree in `spans`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from specflow.journal.event import CallEvent, EventKind
from specflow.telemetry import early, real, turns
from specflow.telemetry.tracing import Tracing

Handler = Callable[[Tracing, CallEvent], None]


def ignored(_tracing: Tracing, _event: CallEvent) -> None:
    """It shows elsewhere: a proposal and a hypothesis in the early calls that come of them, a retraction in
    their end, a comparison of sampled reads and an early model call in the metrics.
    """


HANDLERS: Mapping[EventKind, Handler] = {
    EventKind.TURN_STARTED: turns.turn_started,
    EventKind.TURN_ENDED: turns.turn_ended,
    EventKind.PROPOSED: ignored,
    EventKind.WITHHELD: turns.withheld,
    EventKind.RETRACTED: ignored,
    EventKind.LAUNCHED: early.launched,
    EventKind.RUN_STARTED: early.run_started,
    EventKind.RUN_ENDED: early.run_ended,
    EventKind.KEPT: early.kept,
    EventKind.CARRIED: early.carried,
    EventKind.RESOLVED: early.resolved,
    EventKind.VERIFIED: ignored,
    EventKind.DIVERGED: ignored,
    EventKind.BRANCH_OPENED: ignored,
    EventKind.BRANCH_DECIDED: ignored,
    EventKind.MODEL_CALL_RESOLVED: ignored,
    EventKind.CALL_STARTED: real.call_started,
    EventKind.CALL_ENDED: real.call_ended,
    EventKind.CONFIRMATION_ASKED: real.confirmation_asked,
    EventKind.CONFIRMATION_ANSWERED: real.confirmation_answered,
    EventKind.COMPENSATION_STARTED: early.compensation_started,
    EventKind.COMPENSATION_ENDED: early.compensation_ended,
    EventKind.SETTLED: turns.settled,
    EventKind.CONVERSATION_BRANCHED: turns.conversation_branched,
}
