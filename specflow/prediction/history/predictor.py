"""`history`: foresees the next call from what earlier conversations have taught, and goes on learning."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk
from specflow.prediction.fit import fitting_call
from specflow.prediction.history.cold import ColdStart
from specflow.prediction.history.confidence import BREADTH, NAME
from specflow.prediction.history.considered import Chance, Considered, Taught
from specflow.prediction.history.dialogue import Args, Dialogue, args_of
from specflow.prediction.history.patterns import Patterns, write_whole
from specflow.prediction.history.seen import typed
from specflow.prediction.history.tables import REPLY
from specflow.prediction.plain_schema import PlainSchema
from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.prediction.vocabulary import Vocabulary

MOST_DIALOGUES = 64
"""Conversations that are kept in mind; one that was not heard of for longer is read again when it goes on."""


class HistoryPredictor:
    """Proposes the calls that earlier conversations make likely, before the model says a word.

    `patterns` is what it knows; None: nothing yet. `early` says which tools it proposes calls of; None: those
    that are annotated as read-only or, without annotations, whose names say that they read. With `online` it
    learns from every real turn that follows one it was asked about; also what this tenant and this user do
    otherwise than the rest, where the context names them. `agent` says who speaks for the model (None: what
    the context calls it), where what was learned of that one should count more. With `cold` it also proposes
    calls of tools that it has not yet seen called, with a low probability; of one that could have been called
    at 200 moments, and never was, no more.
    """

    name = NAME

    def __init__(
        self,
        patterns: Patterns | None = None,
        *,
        early: Callable[[ToolSpec], bool] | None = None,
        breadth: int = BREADTH,
        online: bool = True,
        agent: str | None = None,
        cold: bool = True,
    ) -> None:
        self.patterns = patterns or Patterns()
        self._early = early
        self._breadth = breadth
        self._online = online
        self._agent = agent
        self._cold = ColdStart() if cold else None
        self._lock = threading.Lock()
        self._heard: OrderedDict[int, _Heard] = OrderedDict()
        self._owed: deque[tuple[Taught, _Heard]] = deque()
        self._unasked: tuple[_Heard, TurnContext] | None = None
        self._asked: tuple[TurnContext, list[int]] | None = None
        self._kits: dict[int, _Kit] = {}

    def listen(self, context: TurnContext) -> Deaf:
        """A model is about to be called: what is new is taken in, and what the model did since it was last
        heard of is learned, most of it once the next call has been foreseen, or somebody else listens.
        """
        with self._lock:
            self._weigh()
            self._follow(context)
        return Deaf()

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        """The calls that are likely to come next; also after results that no model has seen yet."""
        with self._lock:
            prints = self._prints(context)
            known = self._known(prints, len(prints))
            heard = None if known is None else self._heard[prints[known]]
            considered = None
            if heard is not None and known == len(prints) - 1:
                self._consider_unasked()
                considered = heard.considered
            if considered is None:
                # Perhaps presumed, not real: looked at, and neither kept nor learned from.
                dialogue = self._read(context, None if heard is None else heard.dialogue.copy(), known or 0)
                considered = self._consider(dialogue, context)
        found = [*self.candidates(considered, context), *self._cold_ones(context)]
        if self._owed:
            # Nobody should wait for that. Where the loop ends before, it is done when somebody listens.
            asyncio.get_running_loop().call_soon(self._settle)
        return found

    def _settle(self) -> None:
        with self._lock:
            self._weigh()

    def _weigh(self) -> None:
        """Learn what is owed; what nobody has asked about is considered first, as that is not known yet."""
        self._consider_unasked()
        while self._owed:
            taught, heard = self._owed.popleft()
            self.patterns.weigh(taught)
            if heard.considered is not None:
                self.patterns.look_up(heard.considered)

    def _consider_unasked(self) -> None:
        """Consider what was heard last, unless somebody has asked about it already."""
        if self._unasked is not None:
            heard, context = self._unasked
            self._unasked = None
            heard.considered = self._consider(heard.dialogue, context)

    def _cold_ones(self, context: TurnContext) -> list[Candidate]:
        """Calls of tools of which too little is known yet, by the looks of their parameters."""
        if self._cold is None:
            return []
        with self._lock:
            early, known = self._kit(context.tools).reads, self.patterns.tables.known()
        return self._cold.candidates(context, known, lambda name: early.get(name, False))

    def save(self, path: str | Path) -> None:
        """Write what it knows now.

        Raises:
            OSError: the file cannot be written.
        """
        with self._lock:
            self._weigh()
            text = self.patterns.as_text()
        write_whole(path, text)

    def candidates(self, considered: Considered, context: TurnContext) -> list[Candidate]:
        """The likeliest calls that fit their schemas, each with its probability."""
        made: dict[int, Candidate | None] = {}
        with self._lock:
            kit = self._kit(context.tools)

        def fits(at: int) -> bool:
            made[at] = _candidate(considered.chance(at), kit)
            return made[at] is not None

        said = map(made.get, considered.proposed(self._breadth, fits))
        return [candidate for candidate in said if candidate is not None]

    def _follow(self, context: TurnContext) -> None:
        prints = self._prints(context)
        if prints[-1] in self._heard:
            self._heard.move_to_end(prints[-1])
            return
        known = self._known(prints, len(prints) - 1)
        if known is None:
            heard = _Heard(self._read(context))
        else:
            heard = self._heard.pop(prints[known])
            self._learn(heard, context.history[known:])
            self._read(context, heard.dialogue, known)
        heard.considered, self._unasked = None, (heard, context)
        self._heard[prints[-1]] = heard
        while len(self._heard) > MOST_DIALOGUES:
            self._heard.popitem(last=False)

    def _learn(self, heard: _Heard, new: Sequence[HistoryItem]) -> None:
        done = _done(new)
        if self._online and heard.considered is not None and done is not None:
            taught = self.patterns.count(heard.dialogue, heard.considered, done.tool, done.args, done.more)
            self._owed.append((taught, heard))

    def _prints(self, context: TurnContext) -> list[int]:
        """The fingerprints; whoever listens foresees from the same context next."""
        asked = self._asked
        if asked is None or asked[0] is not context or len(asked[1]) != len(context.history) + 1:
            asked = self._asked = context, _fingerprints(context)
        return asked[1]

    def _known(self, prints: Sequence[int], shorter: int) -> int | None:
        """How many messages of the conversation, less than `shorter`, are in mind."""
        return next((n for n in range(shorter - 1, -1, -1) if prints[n] in self._heard), None)

    def _read(self, context: TurnContext, begun: Dialogue | None = None, known: int = 0) -> Dialogue:
        """The conversation; of one that was begun, what comes after the messages that are known."""
        agent = context.model if self._agent is None else self._agent
        dialogue = begun or self.patterns.dialogue(
            context.tools, agent, tenant=context.tenant, user=context.user
        )
        for item in context.history[known:]:
            dialogue.take(item)
        return dialogue

    def _consider(self, dialogue: Dialogue, context: TurnContext) -> Considered:
        early = self._kit(context.tools).reads
        return self.patterns.consider(dialogue, context.tools, lambda name: early.get(name, False))

    def _kit(self, tools: ToolRegistry) -> _Kit:
        known = self._kits.get(id(tools))
        if known is None or known.tools is not tools:
            if len(self._kits) > 16:
                self._kits.clear()
            self.patterns.adapt(tools)
            plain = {spec.name: PlainSchema(spec.parameters) for spec in tools}
            known = self._kits[id(tools)] = _Kit(tools, self._reading(tools), plain)
        return known

    def _reading(self, tools: ToolRegistry) -> dict[str, bool]:
        if self._early is None:
            return reading(tools)
        return {spec.name: self._early(spec) for spec in tools}


@dataclass(frozen=True, slots=True)
class _Kit:
    """A set of tools: which of them read, and their schemas as far as they are plain."""

    tools: ToolRegistry
    reads: dict[str, bool]
    plain: dict[str, PlainSchema]


@dataclass(slots=True)
class _Heard:
    """A conversation, and what was considered when it stood as it does; None: nobody has asked yet."""

    dialogue: Dialogue
    considered: Considered | None = None


def reading(tools: ToolRegistry) -> dict[str, bool]:
    """Which tools read: by their annotations, and where there are none by what their names say."""
    words = {one.spec.name: one.reads for one in Vocabulary(tools).tools}
    return {
        spec.name: spec.annotation.effect is EffectClass.READ_ONLY
        if spec.annotation and spec.annotation.effect
        else words.get(spec.name, False)
        for spec in tools
    }


class _Done(NamedTuple):
    """The first call of a message, or the reply; and its further calls."""

    tool: str
    args: Args | None
    more: Sequence[tuple[str, Args]] = ()


class Deaf:
    """The ear of a predictor that has nothing to hear in a turn."""

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        """Nothing follows from it."""
        return ()


def _done(new: Sequence[HistoryItem]) -> _Done | None:
    """What the model did next: the calls of one message, or the reply; None where that cannot be told."""
    calls: list[tuple[str, Args]] = []
    for item in new:
        if item.call is not None:
            calls.append((item.call.tool, args_of(item.call.args)))
        elif calls:
            break
        elif item.role == "user":
            return _Done(REPLY, None)
    return _Done(*calls[0], calls[1:]) if calls else None


def _candidate(chance: Chance, kit: _Kit) -> Candidate | None:
    spec = kit.tools.get(chance.tool)
    if spec is None:
        return None
    args = {
        name: typed(text, str(spec.properties.get(name, {}).get("type", ""))) for name, text in chance.args
    }
    call = fitting_call(spec, args, kit.plain.get(spec.name))
    if call is None:
        return None
    return Candidate(
        call=call,
        confidence=chance.probability,
        predictor=HistoryPredictor.name,
        evidence="earlier conversations went on like this",
    )


def _fingerprints(context: TurnContext) -> list[int]:
    """For each number of messages from 0 on, a number for the conversation so far, and for whose it is."""
    found = [hash((context.model, context.tenant, context.user))]
    for item in context.history:
        call = item.call
        said = (item.role, item.text)
        made = None if call is None else (call.tool, args_of(call.args), call.result, call.failed)
        found.append(hash((found[-1], said, made)))
    return found
