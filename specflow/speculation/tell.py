"""Telling observers what happens, with the ids that join it together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from specflow.effects.call import Call
from specflow.errors import SpecflowError
from specflow.journal.event import CallEvent, EventKind, Outcomes
from specflow.journal.record import PredictionRow
from specflow.lifecycle import BranchState
from specflow.policy.verdict import Verdict
from specflow.prediction.candidate import Candidate
from specflow.speculation.branch import Branch
from specflow.speculation.misfire import misfire_of
from specflow.speculation.model_calls import Adoption, Recording
from specflow.speculation.odds import counts
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation, Stay
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
            CallEvent(
                kind=kind,
                at=at,
                session_id=session.session_id,
                thread=session.key.thread,
                group=session.group,
                **facts,
            )
        )

    def of(self, kind: EventKind, session: Session, speculation: Speculation, **more: Any) -> None:
        """Tell of a speculation."""
        above = speculation.above
        self.see(
            kind,
            session,
            branch_id=speculation.branch_id,
            parent_id=above.branch_id if above is not None else "",
            turn_id=speculation.turn_id,
            speculation_id=speculation.speculation_id,
            effect_id=speculation.effect_id if speculation.writes else "",
            call=speculation.call,
            key=speculation.key,
            candidate=speculation.candidate,
            verdict=speculation.verdict,
            **more,
        )

    def launched(self, session: Session, speculation: Speculation, weighed: Mapping[str, Any]) -> None:
        """A speculation is started; under which hypotheses, how likely they are together, and what the gate
        went by.
        """
        home = speculation.homes[0]
        facts = {"odds": home.odds, "depth": home.depth, "presumed": speculation.presumed, **weighed}
        self.of(EventKind.LAUNCHED, session, speculation, facts=facts)

    def branch(self, kind: EventKind, session: Session, branch: Branch, turn_id: str = "") -> None:
        """A hypothesis about a pending call's result is opened, or decided."""
        self.see(
            kind,
            session,
            turn_id=turn_id,
            branch_id=branch.branch_id,
            parent_id=branch.parent.branch_id if branch.parent is not None else "",
            call=branch.call,
            outcome="" if kind is EventKind.BRANCH_OPENED else branch.state,
            cause=branch.cause,
            facts={"odds": branch.odds, "depth": branch.depth, "presumed": branch.presumed},
        )

    def model_call(self, session: Session, how: Adoption, recording: Recording) -> None:
        """What a model said early is adopted, or nobody wanted it."""
        now = self._parts.clock.monotonic()
        ended = now if recording.finished is None else min(now, recording.finished)
        lost = how is Adoption.CANCELLED
        took = max(0.0, ended - recording.started)
        facts = {
            "runway": now - recording.started,
            "saved": 0.0 if lost else took,
            "wasted": took if lost else 0.0,
        }
        self.see(EventKind.MODEL_CALL_RESOLVED, session, outcome=str(how), facts=facts)

    def turn_ended(self, turn: Turn, calls: Sequence[Call], cause: str) -> None:
        """The message is there and asks for `calls`, or the model failed."""
        facts = {
            "calls": len(calls),
            "launched": turn.launched,
            "proposed": turn.proposed,
            "asked": [call.tool for call in calls],
        }
        self.see(EventKind.TURN_ENDED, turn.session, turn_id=turn.turn_id, cause=cause, facts=facts)

    def proposed(self, turn: Turn, candidate: Candidate, above: Branch | None) -> None:
        """A predictor has proposed a call: for the message that is awaited, or on top of a hypothesis."""
        self.see(
            EventKind.PROPOSED,
            turn.session,
            turn_id=turn.turn_id,
            parent_id=above.branch_id if above is not None else "",
            call=candidate.call,
            candidate=candidate,
        )

    def withheld(
        self,
        turn: Turn,
        candidate: Candidate,
        verdict: Verdict | None,
        cause: str,
        *,
        effect_id: str = "",
        key: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """A proposed call is not started; `cause` says why, `effect_id` which effect is in its way, `facts`
        what the gate went by.
        """
        self.see(
            EventKind.WITHHELD,
            turn.session,
            turn_id=turn.turn_id,
            call=candidate.call,
            candidate=candidate,
            verdict=verdict,
            cause=cause,
            effect_id=effect_id,
            key=key,
            facts=facts or {},
        )

    def retracted(self, turn: Turn, call: Call, predictor: str) -> None:
        """A predictor does not believe in a call any more; `cause` names it."""
        self.see(EventKind.RETRACTED, turn.session, turn_id=turn.turn_id, call=call, cause=predictor)

    def resolved(
        self, session: Session, speculation: Speculation, outcome: Outcomes, cause: str, **facts: float
    ) -> None:
        """How a speculation ended: once, to observers, budgets, odds, and to the journal's statistics."""
        self.adopted(session, speculation, outcome, cause, **facts)

    def adopted(
        self, session: Session, speculation: Speculation, outcome: Outcomes, cause: str, **facts: float
    ) -> PredictionRow:
        """The same, with its row in the statistics, for what is found out about it later."""
        parts = self._parts
        now = parts.clock.monotonic()
        adopted = outcome in {Outcomes.HIT, Outcomes.LATE}
        # What it rested on was wrong: the odds of the path have that in them already.
        groundless = speculation.above is not None and speculation.above.effective is BranchState.ABORTED
        tells = adopted or (counts(cause) and not groundless)
        if speculation.source is not None and speculation.called and tells:
            parts.odds.saw(speculation.source, right=adopted)
        session.spending.resolved(speculation, now, cause, kept=adopted)
        measured = {
            "runway": now - speculation.started,
            "saved": 0.0,
            "wasted": 0.0 if adopted else (speculation.finished or now) - speculation.started,
            **facts,
        }
        misfire = "" if adopted else _known_now(session, speculation, cause)
        self.of(
            EventKind.RESOLVED,
            session,
            speculation,
            outcome=outcome,
            cause=cause,
            misfire=misfire,
            facts={**measured, "kept": 1.0} if speculation.stay is Stay.KEPT else measured,
        )
        row = PredictionRow(
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
        self._note(row)
        return row

    def diverged(self, row: PredictionRow) -> None:
        """What was adopted has turned out to differ from what the tool says now."""
        self._note(replace(row, cause="diverged"))

    def _note(self, prediction: PredictionRow) -> None:
        try:
            self._parts.journal.note(prediction)
        except SpecflowError as error:
            # Statistics only: a journal that is closed must not hurt the run.
            log.debug("not noted: %s", error)


def misfire_in(session: Session, speculation: Speculation, cause: str) -> str:
    """What was wrong with a speculation, by the newest message of its agent since it was started."""
    turn = session.newest.get(speculation.lane)
    thinking = any(isinstance(one, Turn) and one.turn_id == speculation.turn_id for one in session.turns)
    known = turn if isinstance(turn, Turn) and not thinking else None
    message, history = (None, ()) if known is None else (known.message, known.context.history)
    return str(misfire_of(cause, speculation.call, speculation.key, message, history))


def _known_now(session: Session, speculation: Speculation, cause: str) -> str:
    """As it was when it was lost, unless the message that decides it has come since."""
    turn = session.newest.get(speculation.lane)
    own = isinstance(turn, Turn) and turn.turn_id == speculation.turn_id
    return misfire_in(session, speculation, cause) if own or not speculation.misfire else speculation.misfire
