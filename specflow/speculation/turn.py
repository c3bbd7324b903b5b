"""One model turn: the ears that listen to it, and what they have proposed. And the view ahead from it."""

from __future__ import annotations

import contextvars
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from specflow.effects.call import Call
from specflow.prediction.calibration.ensemble import Guess
from specflow.prediction.candidate import Proposal, checked
from specflow.prediction.chunk import Chunk
from specflow.prediction.predictor import (
    AnyPredictor,
    HistoryItem,
    Listener,
    PastCall,
    Predictor,
    TurnContext,
)
from specflow.speculation.branch import Branch
from specflow.speculation.misfire import Message
from specflow.speculation.session import Session

log = logging.getLogger("specflow")


MOST_SAID = 1_000
"""Proposals of one predictor in one turn that are looked at; one that says more hears no more of it."""

MOST_WAITING = 32
"""Guesses of one turn that wait for room; the least valuable of more is let go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A guess that lacks nothing but room in a budget. `value` in USD; `again` considers it once more."""

    call: Call
    value: float
    again: Callable[[], object]


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Turn:
    """Local to one model call. `spawn` is the context in which its early calls run; `lane` the agent's.

    `answers` are the results that the calls of its message have got so far; `silenced` the predictors that
    failed to foresee anything; `message` is what it has come to, None where the model is not done or failed.
    `guesses` are the calls that were proposed for its message, by their keys.
    """

    turn_id: str
    lane: str
    session: Session
    context: TurnContext
    spawn: contextvars.Context
    started: float
    listeners: dict[str, Listener] = field(default_factory=dict)
    launched: int = 0
    proposed: int = 0
    ended: bool = False
    answers: list[HistoryItem] = field(default_factory=list)
    silenced: set[str] = field(default_factory=set)
    thinking: Branch | None = None
    message: Message | None = None
    waiting: dict[tuple[str, str], Waiting] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)
    guesses: dict[str, Guess] = field(default_factory=dict)

    @property
    def outlook(self) -> Outlook:
        """The view from here, where nothing is presumed."""
        return Outlook(turn=self, context=self.context)

    @property
    def agent(self) -> str:
        """The agent's place in the graph, the same in every run: its lane without the ids of tasks."""
        return "|".join(part.partition(":")[0] for part in self.lane.split("|"))

    def wait(self, key: str, predictor: str, waiting: Waiting) -> None:
        """The guess is considered again when there is room, unless it is taken back first."""
        self.waiting[key, predictor] = waiting
        if len(self.waiting) > MOST_WAITING:
            del self.waiting[min(self.waiting, key=lambda name: self.waiting[name].value)]

    def forget(self, call: Call, predictor: str) -> None:
        """The predictor takes a guess back."""
        for name, waiting in tuple(self.waiting.items()):
            if waiting.call == call and name[1] == predictor:
                del self.waiting[name]

    def listen(self, predictors: Sequence[AnyPredictor]) -> None:
        """Ask every predictor that listens for an ear; one that fails is left out of this turn."""
        for predictor in predictors:
            try:
                if isinstance(predictor, Predictor):
                    self.listeners[predictor.name] = predictor.listen(self.context)
            except Exception:
                log.exception("predictor %s failed and sits this turn out", predictor.name)

    def hear(self, chunk: Chunk) -> Iterator[Proposal]:
        """What the listeners make of the next chunk; one that raises hears no more of this turn."""
        for name, listener in tuple(self.listeners.items()):
            try:
                for said in listener.hear(chunk):
                    self.said[name] += 1
                    if self.said[name] > MOST_SAID:
                        del self.listeners[name]
                        log.warning("predictor %s says too much and hears no more of this turn", name)
                        break
                    yield checked(said)
            except Exception:
                del self.listeners[name]
                log.exception("predictor %s failed and sits the rest of this turn out", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """From where somebody looks ahead: the turn in which it began, the hypothesis under which what is
    proposed will be started (None: the model's next message), and the conversation as it would then be.
    """

    turn: Turn
    context: TurnContext
    branch: Branch | None = None

    def under(self, branch: Branch) -> Outlook:
        """The same, under a further hypothesis."""
        return replace(self, branch=branch)

    def after(self, branch: Branch, *results: HistoryItem) -> Outlook:
        """The view from after a message of the model and the results of its calls, under `branch`."""
        asked = HistoryItem(role="assistant")
        history = (*self.context.history, asked, *results)
        return replace(self, branch=branch, context=replace(self.context, history=history))

    @property
    def over(self) -> bool:
        """Whether nobody needs to look from here any more: the turn in question is over, or will not come."""
        if self.branch is None:
            return self.turn.ended
        newest = self.turn.session.newest.get(self.turn.lane)
        began = newest.started if isinstance(newest, Turn) else -math.inf
        return not self.branch.due_after(began)


def result_item(call: Call, text: str) -> HistoryItem:
    """A result as it will be in the history; `text` is what the model sees of it."""
    past = PastCall(tool=call.tool, args=call.plain_args(), result=text)
    return HistoryItem(role="tool", text=text, call=past)
