"""Guessing what pending calls return, and deciding the guesses when they do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

from specflow.effects.call import Call
from specflow.errors import NotEarlyError
from specflow.journal.event import EventKind
from specflow.policy.verdict import Verdict
from specflow.prediction.candidate import probability
from specflow.prediction.result_guess import GuessesResults, LearnsResults, ResultGuess, identical
from specflow.speculation.adopt import RealCall
from specflow.speculation.branch import Branch
from specflow.speculation.chain import Chains, readable, seen_by_model
from specflow.speculation.fork import FORK
from specflow.speculation.forks import Forks
from specflow.speculation.keep import private
from specflow.speculation.lookahead import Pace, beyond
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.pending import Speculation, Standing
from specflow.speculation.question import Question
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session
from specflow.speculation.tell import Teller
from specflow.speculation.turn import Outlook, Turn, result_item

log = logging.getLogger("specflow")


class Presumer:
    """Knows what is pending, and what is presumed of it."""

    def __init__(self, parts: Parts, tell: Teller, retirer: Retirer, chains: Chains, forks: Forks) -> None:
        self._parts = parts
        self._tell = tell
        self._retirer = retirer
        self._chains = chains
        self._forks = forks
        self._pace = Pace(parts.lookahead.starts)
        self._guessers = tuple(parts.result_guessers) if parts.mode is Mode.ON else ()
        self._real: dict[tuple[str, str], Question] = {}
        self._early: dict[Speculation, Question] = {}

    # ------------------------------------------------------------------ what is pending

    @contextmanager
    def asked(self, session: Session, key: str, real: RealCall, verdict: Verdict) -> Iterator[Question]:
        """While a real call is pending. What it returns is told to the question inside."""
        question = Question(call=real.call, writes=verdict.effect.writes, origin=real.origin)
        place = (session.session_id, key)
        if not question.writes:
            self._real.setdefault(place, question)
        early = session.pending.first(key)
        if early is None:
            self._guess(question, _after_message(session, real))
        else:
            self.promoted(early, real.origin)
        try:
            yield question
        except BaseException as error:
            self.gave_up(
                question, "cancelled" if isinstance(error, asyncio.CancelledError) else "failed", error
            )
            raise
        finally:
            if self._real.get(place) is question:
                del self._real[place]

    def answer(self, session: Session, real: RealCall, question: Question, value: Any) -> None:
        """A real call has returned."""
        self.answered(question, value)
        learners = [guesser for guesser in self._guessers if isinstance(guesser, LearnsResults)]
        turn = session.newest.get(real.lane)
        if not learners and self._chains.blind:
            return
        text = seen_by_model(self._parts, real.call, value)
        if text is None:
            return
        if isinstance(turn, Turn):
            turn.answers.append(result_item(real.call, text))
        for learner in learners if not question.writes else ():
            try:
                learner.learn(real.call, text)
            except Exception as error:  # noqa: BLE001 - somebody else's code: it hurts nobody
                log.warning("a guesser could not learn a result of %s: %r", real.call.tool, error)

    def awaiting(self, ask: Call, outlook: Outlook, origin: object) -> Question:
        """A person is asked, or the user is to speak: pending for as long as that takes."""
        question = Question(call=ask, patient=True, origin=origin)
        self._guess(question, outlook)
        return question

    def started(self, outlook: Outlook, speculation: Speculation) -> None:
        """An early call is under way: its result can be guessed, too, and seen when it is there."""
        home, work = speculation.homes[0], speculation.work
        assert work is not None
        question = Question(call=speculation.call, writes=speculation.writes)
        ahead = outlook.under(home)
        if self._guessers:
            self._early[speculation] = question
            self._guess(question, ahead)
        work.add_done_callback(lambda _done: self._returned(speculation, question, ahead))

    def pending_read(self, session: Session, key: str) -> Question | None:
        """The real run's own read of that key, while it is pending."""
        return self._real.get((session.session_id, key))

    def promoted(self, early: Speculation, origin: object) -> None:
        """Somebody waits for what was started early: now a fork knows where to go on from."""
        question = self._early.get(early)
        if question is None or origin is None:
            return
        question.origin = origin if question.origin is None else question.origin
        for branch in question.presumed:
            self._forks.start(question, branch)

    # ------------------------------------------------------------------ guesses

    def _guess(self, question: Question, outlook: Outlook | None) -> None:
        if not self._guessers or outlook is None or outlook.turn.session.closing:
            return
        if outlook.turn.session.mode is not Mode.ON:
            return  # the control group of a canary
        above, grove = outlook.branch, outlook.turn.session.grove
        if beyond(self._parts.lookahead, grove, above, writes=False):
            return
        question.outlook = outlook
        question.trunk = grove.grow(
            Branch(
                branch_id=self._parts.ids.new("br"),
                hypothesis=f"{question.call.tool} returns",
                odds=above.odds if above is not None else 1.0,
                parent=above,
                depth=above.depth + 1 if above is not None else 0,
                call=question.call,
                patient=question.patient,
            ),
            outlook.turn.lane,
        )
        for guesser in self._guessers:
            asking = self._ask(guesser, question, outlook)
            task = asyncio.get_running_loop().create_task(asking, context=outlook.turn.spawn.copy())
            question.trunk.start(task, self._retirer.leftovers.cancel)

    async def _ask(self, guesser: GuessesResults, question: Question, outlook: Outlook) -> None:
        limit = self._parts.lookahead
        try:
            async with asyncio.timeout(limit.seconds):
                said = await guesser.guess(question.call, outlook.context)
            for guess in islice(said, limit.proposals):
                await self._pace.step()
                if question.over or len(question.presumed) >= limit.breadth:
                    return
                self._presume(question, outlook, guess)
        except Exception as error:  # noqa: BLE001 - somebody else's code: it hurts nobody
            log.warning("guesser %s failed at %s: %r", guesser.name, question.call.tool, error)

    def _presume(self, question: Question, outlook: Outlook, guess: ResultGuess) -> None:
        trunk, grove, limit = question.trunk, outlook.turn.session.grove, self._parts.lookahead
        confidence, text = probability(guess.confidence), guess.text
        if text is None:
            text = seen_by_model(self._parts, question.call, guess.value)
        if trunk is None or trunk.lost or grove.full or confidence is None or not readable(text):
            return
        odds = trunk.odds * confidence
        deepest = min(limit.depth, self._parts.judge.budgets.max_depth - 1)
        if odds < limit.min_odds or trunk.depth >= deepest:
            return
        if any(identical(guess.value, known.value) for known in question.guesses):
            return
        branch = grove.grow(
            Branch(
                branch_id=self._parts.ids.new("br"),
                hypothesis=f"result of {question.call.tool}, by {guess.predictor}",
                odds=odds,
                parent=trunk,
                depth=trunk.depth,
                call=question.call,
                guess=replace(guess, value=private(guess.value)),
                patient=question.patient,
            ),
            outlook.turn.lane,
        )
        session, turn_id = outlook.turn.session, outlook.turn.turn_id
        self._tell.branch(EventKind.BRANCH_OPENED, session, branch, turn_id)
        branch.on_decided = lambda it: self._tell.branch(EventKind.BRANCH_DECIDED, session, it, turn_id)
        # The other calls of the same message that have returned already are in the history as well.
        known = outlook.turn.answers if outlook.branch is None else ()
        ahead = question.presumed[branch] = outlook.after(branch, *known, result_item(question.call, text))
        self._chains.follow(ahead)
        self._forks.start(question, branch)

    # ------------------------------------------------------------------ what came back

    def _returned(self, speculation: Speculation, question: Question, ahead: Outlook) -> None:
        """An early call is over: decide the guesses of its result, and let the chain go on from there."""
        self._early.pop(speculation, None)
        work = speculation.work
        assert work is not None
        if work.cancelled() or work.exception() is not None:
            self.gave_up(question, "failed")
            return
        value = work.result().value
        self.answered(question, value)
        foreseen = speculation.candidate.predictor != FORK and not speculation.writes
        if foreseen and speculation.standing is Standing.LIVE and not self._chains.blind:
            text = seen_by_model(self._parts, speculation.call, value)
            if text is not None and ahead.branch is not None:
                self._chains.follow(ahead.after(ahead.branch, result_item(speculation.call, text)))

    def answered(self, question: Question, value: Any) -> None:
        """It returned: the guesses that were right are confirmed, the others aborted."""
        if question.over:
            return
        question.over = True
        question.hand_out(value)
        trunk, outlook = question.trunk, question.outlook
        if trunk is None or outlook is None:
            return
        now = self._parts.clock.monotonic()
        text = seen_by_model(self._parts, question.call, value)
        for branch in question.presumed:
            assert branch.guess is not None
            if branch.guess.holds(value, text, writes=question.writes):
                branch.confirm(now)
            else:
                self._retirer.abort(branch, "mismatch")
        trunk.confirm(now)
        if not trunk.children:
            trunk.close("answered", now)

    def gave_up(self, question: Question, cause: str, error: BaseException | None = None) -> None:
        """It did not return: nothing that was presumed of it holds."""
        if question.over:
            return
        question.over = True
        question.let_down(error or NotEarlyError(f"{question.call.tool} was given up: {cause}"))
        if question.trunk is not None:
            self._retirer.abort(question.trunk, cause)


def _after_message(session: Session, real: RealCall) -> Outlook | None:
    """The view of the newest model turn of the lane, whose message asks for the call."""
    turn = session.newest.get(real.lane)
    return turn.outlook if isinstance(turn, Turn) else None
