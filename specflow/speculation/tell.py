"""Telling observers what happens, with the ids that join it together."""

from __future__ import annotations

import logging
from typing import Any

from specflow.errors import SpecflowError
from specflow.journal.event import CallEvent, EventKind, Outcomes
from specflow.journal.record import PredictionRow
from specflow.policy.verdict import Verdict
from specflow.prediction.candidate import Candidate
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation
from specflow.speculation.session import Session
from specflow.speculation.turn import Turn

log = logging.getLogger("specflow")


class Teller:
    """Makes the events of one coordinator."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def see(self, kind: EventKind, session: Session, **facts: Any) -> None:
        """Tell of a session, a turn or a real call."""
        at = self._parts.clock.monotonic()
        self._parts.observers.see(
            CallEvent(kind=kind, at=at, session_id=session.session_id, thread=session.key.thread, **facts)
        )

    def of(self, kind: EventKind, session: Session, speculation: Speculation, **more: Any) -> None:
        """Tell of a speculation."""
        self.see(
            kind,
            session,
            turn_id=speculation.turn_id,
            speculation_id=speculation.speculation_id,
            effect_id=speculation.effect_id if speculation.writes else "",
            call=speculation.call,
            candidate=speculation.candidate,
            verdict=speculation.verdict,
            **more,
        )

    def proposed(self, turn: Turn, candidate: Candidate) -> None:
        """A predictor has proposed a call."""
        self.see(
            EventKind.PROPOSED,
            turn.session,
            turn_id=turn.turn_id,
            call=candidate.call,
            candidate=candidate,
        )

    def withheld(
        self, turn: Turn, candidate: Candidate, verdict: Verdict | None, cause: str, effect_id: str = ""
    ) -> None:
        """A proposed call is not started; `cause` says why, `effect_id` which effect is in its way."""
        self.see(
            EventKind.WITHHELD,
            turn.session,
            turn_id=turn.turn_id,
            call=candidate.call,
            candidate=candidate,
            verdict=verdict,
            cause=cause,
            effect_id=effect_id,
        )

    def resolved(
        self, session: Session, speculation: Speculation, outcome: Outcomes, cause: str, **facts: float
    ) -> None:
        """How a speculation ended: once, to observers and to the journal's statistics."""
        parts = self._parts
        now = parts.clock.monotonic()
        adopted = outcome in {Outcomes.HIT, Outcomes.LATE}
        measured = {
            "runway": now - speculation.started,
            "saved": 0.0,
            "wasted": 0.0 if adopted else (speculation.finished or now) - speculation.started,
            **facts,
        }
        self.of(EventKind.RESOLVED, session, speculation, outcome=outcome, cause=cause, facts=measured)
        self._note(
            PredictionRow(
                speculation_id=speculation.speculation_id,
                session_id=session.session_id,
                tool=speculation.tool.name,
                fingerprint=speculation.call.fingerprint,
                predictor=speculation.candidate.predictor,
                confidence=speculation.candidate.confidence,
                outcome=outcome,
                cause=cause,
                at=parts.clock.wall(),
                **measured,
            )
        )

    def _note(self, prediction: PredictionRow) -> None:
        try:
            self._parts.journal.note(prediction)
        except SpecflowError as error:
            # Statistics only: a journal that is closed must not hurt the run.
            log.debug("not noted: %s", error)
