"""What would have run early, and what that would have saved: added up while nothing does (`mode="shadow"`).

An observer. What the gate would have started is told as withheld for its `mode`; whether the real run then
makes that very call, how much later and for how long, says what became of it. Time saved is that of messages:
the calls of one run side by side, so that one slow call that nobody foresaw leaves nothing to be saved.

What only early work itself would show is left out: budgets that it would use up, writes that would overtake
it, its own failures, and reads that live on into a later turn. A replay of the same run has all of that.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from specflow.journal.event import CallEvent, EventKind
from specflow.policy.verdict import Speculate
from specflow.speculation.hindsight import Hindsight, Missed
from specflow.speculation.misfire import Misfire

MODE = "mode"
"""The cause with which a launch is withheld that everything else allows."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Guess:
    """A launch that did not happen. `hopes` are the predictors that still believe in it."""

    event: CallEvent
    number: int
    hopes: set[str]


@dataclass(slots=True, kw_only=True)
class _Real:
    """A call of the newest message: when it began and, in the end, how long it took. `lead` is how long the
    early one would have run by then, None where there would have been none.
    """

    started: float
    lead: float | None
    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class _Conversation:
    """What one session is about to come to."""

    guesses: dict[str, _Guess] = field(default_factory=dict)
    calls: dict[str, _Real] = field(default_factory=dict)
    asked: frozenset[str] | None = None


class ShadowReport:
    """Sees the events of a runtime in shadow mode, of one agent in each conversation at a time.

    Args:
        limit: most conversations at once that are followed; the oldest of more is counted as it stands.
    """

    def __init__(self, *, limit: int = 4096) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Conversation] = OrderedDict()
        self._hindsight = Hindsight()
        self._missed: dict[str, Counter[Misfire]] = {}
        self._numbers = 0
        self._steps = 0
        self._launched = 0
        self._outcomes = dict.fromkeys(("hit", "late", "miss"), 0)
        self._saved = self._hidden = 0.0

    def see(self, event: CallEvent) -> None:
        """Take an event in."""
        with self._lock:
            self._see(event)
            self._count(self._hindsight.see(event))

    def as_json(self) -> Mapping[str, Any]:
        """Counts and seconds so far; conversations that go on are counted up to their newest message.

        `launched` would have been started early; of these `wasted_calls` nobody asked for. `outcomes` are
        those of the real calls that may run early. `hidden_seconds` is tool time that would have run ahead,
        `saved_seconds` what the messages would have been answered sooner by.
        """
        with self._lock:
            missed = {name: counts.copy() for name, counts in self._missed.items()}
            for one in self._hindsight.so_far():
                missed.setdefault(one.predictor, Counter())[one.kind] += 1
            return {
                "steps": self._steps,
                "launched": self._launched,
                "outcomes": dict(self._outcomes),
                "wasted_calls": sum(counts.total() for counts in missed.values()),
                "saved_seconds": round(self._saved, 3),
                "hidden_seconds": round(self._hidden, 3),
                "misfires_by_predictor": {
                    name: {str(kind): counts[kind] for kind in Misfire if counts[kind]}
                    for name, counts in sorted(missed.items())
                },
            }

    def _see(self, event: CallEvent) -> None:
        kind, session = event.kind, event.session_id
        if kind is EventKind.WITHHELD and event.cause == MODE:
            self._would_launch(self._of(session), event)
        elif kind is EventKind.RETRACTED and session in self._open:
            self._take_back(self._open[session], event)
        elif kind is EventKind.TURN_STARTED and session in self._open:
            self._next(self._open[session])
        elif kind is EventKind.TURN_ENDED:
            self._steps += 1
            asked = event.facts.get("asked", ())
            self._of(session).asked = None if event.cause else frozenset(asked)
        elif kind is EventKind.CALL_STARTED:
            self._begin(self._of(session), event)
        elif kind is EventKind.CALL_ENDED and session in self._open:
            self._end(self._open[session], event)
        elif kind is EventKind.SETTLED and session in self._open:
            self._next(self._open.pop(session))

    def _of(self, session: str) -> _Conversation:
        known = self._open.setdefault(session, _Conversation())
        self._open.move_to_end(session)
        if len(self._open) > self._limit:
            self._next(self._open.popitem(last=False)[1])
        return known

    def _would_launch(self, talk: _Conversation, event: CallEvent) -> None:
        assert event.candidate is not None
        known = talk.guesses.get(event.key)
        if known is not None:
            known.hopes.add(event.candidate.predictor)
            return
        self._launched += 1
        self._numbers += 1
        hopes = {event.candidate.predictor}
        talk.guesses[event.key] = _Guess(event=event, number=self._numbers, hopes=hopes)

    def _take_back(self, talk: _Conversation, event: CallEvent) -> None:
        for key, guess in tuple(talk.guesses.items()):
            if guess.event.call == event.call and guess.event.turn_id == event.turn_id:
                guess.hopes.discard(event.cause)
                if not guess.hopes:
                    self._lost(talk.guesses.pop(key), Misfire.NEGATED)

    def _begin(self, talk: _Conversation, event: CallEvent) -> None:
        if event.verdict is None:
            return
        guess = talk.guesses.pop(event.key, None) if event.verdict.speculate is Speculate.NOW else None
        lead = None if guess is None else event.at - guess.event.at
        talk.calls[event.call_id] = _Real(started=event.at, lead=lead)

    def _end(self, talk: _Conversation, event: CallEvent) -> None:
        call = talk.calls.get(event.call_id)
        if call is None:
            return
        call.seconds = event.at - call.started
        if event.outcome in {"held", "refused"}:
            return
        if call.lead is None:
            self._outcomes["miss"] += 1
            return
        self._outcomes["hit" if call.lead >= call.seconds else "late"] += 1
        self._hidden += min(call.lead, call.seconds)

    def _next(self, talk: _Conversation) -> None:
        """The next message begins, or the run is over: what was not asked for until now is lost."""
        ends = [call.started + call.seconds for call in talk.calls.values()]
        sooner = [call.started + max(0.0, call.seconds - (call.lead or 0.0)) for call in talk.calls.values()]
        self._saved += max(ends, default=0.0) - max(sooner, default=0.0)
        asked, guesses = talk.asked, tuple(talk.guesses.values())
        talk.calls, talk.guesses, talk.asked = {}, {}, None
        for guess in guesses:
            call = guess.event.call
            assert call is not None
            if asked is None:
                self._lost(guess, Misfire.UNDECIDED)
            else:
                self._lost(guess, Misfire.WRONG_ARGUMENT if call.tool in asked else Misfire.WRONG_TOOL)

    def _lost(self, guess: _Guess, kind: Misfire) -> None:
        ended = replace(
            guess.event, kind=EventKind.RESOLVED, speculation_id=f"would_{guess.number}", misfire=str(kind)
        )
        self._count(self._hindsight.see(ended))

    def _count(self, missed: list[Missed]) -> None:
        for one in missed:
            self._missed.setdefault(one.predictor, Counter())[one.kind] += 1
