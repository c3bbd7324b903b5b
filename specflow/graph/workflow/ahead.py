"""What the data flow of a workflow makes certain: calls whose arguments are known before it is their turn.

LangGraph runs steps in rounds: none of the next round begins before all of this one are over. A read whose
arguments are there already does not have to wait for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.call import Call, NotJsonError
from specflow.graph.workflow.declared import Declared
from specflow.graph.workflow.expression import NotThereError, SkippedError
from specflow.graph.workflow.reference import EACH, STATE, needs, node_of, resolve
from specflow.graph.workflow.step import CallStep, FlowStep, MapStep, PlainStep, Step
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk
from specflow.prediction.predictor import HistoryItem, Listener, TurnContext

NAME = "data_flow"

SURE, UNDECIDED = 0.99, 0.6
"""Confidence in a call whose conditions hold, and in one of which that is not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowContext(TurnContext):
    """The turn of a workflow's run. `known` grows with every step that is over, `begun` with every one that
    is its own turn already.
    """

    flow: Declared
    speaks: bool = False
    known: dict[str, Any] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)


class DataFlow:
    """The predictor: it reads off the declaration what will be called. It knows nothing of other agents."""

    name = NAME

    def listen(self, context: TurnContext) -> Listener:
        return _Ear(context)

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        """With the results of calls that were started early, in the history, as if their steps were over."""
        if not isinstance(context, FlowContext):
            return ()
        known = dict(context.known)
        before = set(_calls(context, known))
        _learn(context.flow, known, context.history)
        return [made for call, made in _calls(context, known).items() if call not in before]


class _Ear:
    def __init__(self, context: TurnContext) -> None:
        self._context = context
        self._proposed: set[Call] = set()

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        """A step is over: what can be called now, and was not known before."""
        if not isinstance(self._context, FlowContext):
            return
        for call, candidate in _calls(self._context, self._context.known).items():
            if call not in self._proposed:
                self._proposed.add(call)
                yield candidate


def _calls(context: FlowContext, known: Mapping[str, Any]) -> dict[Call, Candidate]:
    found: dict[Call, Candidate] = {}
    for step in context.flow.order():
        over = step.name in known or step.name in context.begun
        if over or not isinstance(step, CallStep | MapStep):
            continue
        confidence = _confidence(step, known)
        if not confidence:
            continue
        tainted = _tainted(step, context.flow.steps)
        for args in _arguments(step, known):
            try:
                call = Call(tool=step.tool.name, args=args)
            except NotJsonError:
                continue
            made = Candidate(
                call=call,
                confidence=confidence,
                predictor=NAME,
                evidence=f"step {step.name}",
                tainted=tainted,
            )
            found.setdefault(call, made)
    return found


def _tainted(step: Step, steps: Mapping[str, Step]) -> bool:
    """Whether something that it takes was said by a tool: the declaration only says where that goes.

    INVARIANT: what a function makes of a tool's words is as tainted as the words.
    """
    for name in needs(step.given()) - {STATE, EACH}:
        source = steps[name]
        if isinstance(source, CallStep | MapStep | FlowStep):
            return True
        if isinstance(source, PlainStep) and _tainted(source, steps):
            return True
    return False


def _confidence(step: Step, known: Mapping[str, Any]) -> float:
    confidence = SURE
    for condition in step.conditions:
        try:
            if not node_of(condition).value(known):
                return 0.0
        except SkippedError:
            return 0.0
        except NotThereError:
            confidence = UNDECIDED
    return confidence


def _arguments(step: CallStep | MapStep, known: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What it will be called with, as far as that is known; nothing where it is not."""
    try:
        if isinstance(step, CallStep):
            yield dict(resolve(dict(step.takes), known))
            return
        items = resolve(step.over, known)
        if isinstance(items, list):
            for item in items[: step.at_once]:
                yield dict(resolve(dict(step.takes), {**known, EACH: item}))
    except (SkippedError, NotThereError):
        return


def _learn(flow: Declared, known: dict[str, Any], history: Sequence[HistoryItem]) -> None:
    """Results of calls that were made early, as the results of the steps that will make them."""
    results = {
        (item.call.tool, _key(item.call.args)): item.call.result
        for item in history
        if item.call is not None and not item.call.failed
    }
    for step in flow.order():
        if step.name in known or not isinstance(step, CallStep) or _confidence(step, known) < SURE:
            continue
        for args in _arguments(step, known):
            text = results.get((step.tool.name, _key(args)))
            if text is not None:
                known[step.name] = _value(text)


def _key(args: Mapping[str, Any]) -> str:
    return json.dumps(args, sort_keys=True, default=repr)


def _value(text: str) -> Any:
    """A result as it was before it was written down for a model."""
    try:
        return json.loads(text)
    except ValueError:
        return text
