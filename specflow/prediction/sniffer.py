"""The predictor that reads a model's reasoning and text, and proposes the calls that it announces."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction import language
from specflow.prediction.binding import bind_explicit
from specflow.prediction.candidate import Candidate, Proposal, Retraction
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.clause import Cut, Sentence, SentenceReader
from specflow.prediction.conversation import Conversation
from specflow.prediction.guess import Choice, Guess, Heard, choose_tools, guesses
from specflow.prediction.predictor import TurnContext
from specflow.prediction.proposals import LiveProposals
from specflow.prediction.stance import Intent, Stance, find_intents, may_matter
from specflow.prediction.values import find_values
from specflow.prediction.vocabulary import ToolWords, Vocabulary
from specflow.prediction.words import tokens

NAME = "sniffer"
MAX_CANDIDATES = 16
"""Candidates of one turn, over all attempts: a text that asks for a thousand calls gets no more."""
MAX_CHARS = 400_000
"""Characters of one attempt that are listened to."""
KEPT_SENTENCES = 60
OPEN_SENTENCES = 8
"""How many sentences an announcement such as "check these flights:" waits for its arguments."""


@dataclass(frozen=True, slots=True)
class _Open:
    """An announcement that still lacks arguments, and how many sentences it may wait for them."""

    intent: Intent
    choices: tuple[Choice, ...]
    left: int


class ReasoningSniffer:
    """Hears tool calls in reasoning and visible text.

    `min_confidence` in [0, 1]: weaker guesses are not said at all.
    """

    def __init__(self, *, min_confidence: float = 0.25) -> None:
        self._min_confidence = min_confidence
        self._cached: tuple[tuple[ToolSpec, ...], Vocabulary] | None = None

    @property
    def name(self) -> str:
        return NAME

    def listen(self, context: TurnContext) -> SnifferListener:
        """A listener for one turn. The conversation is indexed when the first announcement needs it."""
        return SnifferListener(context, self._vocabulary(context.tools), min_confidence=self._min_confidence)

    def _vocabulary(self, registry: ToolRegistry) -> Vocabulary:
        specs = tuple(registry)
        if self._cached is None or [*map(id, self._cached[0])] != [*map(id, specs)]:
            self._cached = (specs, Vocabulary(registry))
        return self._cached[1]


class SnifferListener:
    """One turn's ear. What it says depends on the text alone, never on how the stream cut it."""

    def __init__(self, context: TurnContext, vocabulary: Vocabulary, *, min_confidence: float) -> None:
        self._context = context
        self._vocabulary = vocabulary
        self._min_confidence = min_confidence
        self._live = LiveProposals(predictor=NAME)
        self._streams: list[str] = []
        self._said = 0
        self._restart()

    def _restart(self) -> None:
        self._reader = SentenceReader()
        self._kind = ChunkKind.REASONING
        self._chars = 0
        self._talk: Conversation | None = None
        self._unheard: deque[str] = deque(maxlen=KEPT_SENTENCES)
        self._tools: dict[Call, ToolWords] = {}
        self._early: dict[Call, int] = {}
        self._amending = 0
        self._asks_leave = False
        self._open: _Open | None = None

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        """What this piece of text announces or takes back."""
        out: list[Proposal] = []
        if not self._streams or chunk.stream != self._streams[-1]:
            if chunk.stream in self._streams:
                return ()  # a late piece of an attempt that was given up
            self._streams = [*self._streams[-15:], chunk.stream]
            out.extend(self._live.retract_all("the stream was started again"))
            self._restart()
        if chunk.kind is not self._kind:
            out.extend(self.end())
            self._kind = chunk.kind
        if chunk.kind is not ChunkKind.TOOL_CALL and chunk.text and self._chars < MAX_CHARS:
            text = chunk.text[: MAX_CHARS - self._chars]
            self._chars += len(text)
            for sentence in self._reader.feed(text):
                out.extend(self._sentence(sentence))
        return out

    def end(self) -> list[Proposal]:
        """What the last, unfinished sentence says when nothing follows it."""
        return [proposal for sentence in self._reader.end() for proposal in self._sentence(sentence)]

    def _sentence(self, sentence: Sentence) -> Iterator[Proposal]:
        low = sentence.text.lower().replace("\u2019", "'")
        over = sentence.cut is not Cut.EARLY
        if over:
            yield from self._attitude(low)
        found: list[Guess] = []
        intents, heard = self._understood(sentence, low)
        if heard is not None:
            for intent in intents:
                found.extend(self._announced(intent, sentence, heard))
            if over:
                yield from self._refused(intents, heard)
                found.extend(self._continued(intents, heard, answered=bool(found)))
        if over:
            yield from self._reconsider(sentence, {guess.call for guess in found})
        for guess in found:
            yield from self._say(guess, sentence, low)
        if over:
            self._unheard.append(sentence.text)
            self._amending = max(0, self._amending - 1)

    def _understood(self, sentence: Sentence, low: str) -> tuple[list[Intent], Heard | None]:
        """The actions of a sentence and what it gives to go by; nothing for most sentences."""
        spent = self._said >= MAX_CANDIDATES and not len(self._live)
        if spent or (self._open is None and not may_matter(low, self._vocabulary)):
            return [], None
        if sentence.cut is Cut.EARLY and not (language.COMMIT.search(low) or "_" in low):
            return [], None  # only a plain announcement is worth an early look
        words = tokens(sentence.text)
        intents = find_intents(sentence.text, words, self._vocabulary) if words else []
        if not words or (not intents and self._open is None):
            return [], None
        talk = self._known()
        values = find_values(words, year=talk.year, today=talk.today)
        return intents, Heard(sentence.cut, words, values, talk)

    def _attitude(self, low: str) -> Iterator[Retraction]:
        """Amendments, and turning to the user for leave."""
        if language.AMENDS.search(low):
            self._amending = 3
        if language.TAKES_BACK.search(low) and self._live.calls:
            yield from self._live.retract(self._live.calls[-1], "the model took it back")
        if language.ASKS_LEAVE.search(low):
            self._asks_leave = True
            for call in self._live.calls:
                if not self._tools[call].reads:
                    yield from self._live.retract(call, "the model asks for leave first")
        elif language.HAS_LEAVE.search(low):
            self._asks_leave = False

    def _known(self) -> Conversation:
        """The conversation, with every sentence of this turn before the present one."""
        if self._talk is None:
            self._talk = Conversation(self._context.history)
        while self._unheard:
            self._talk.hear(self._unheard.popleft())
        return self._talk

    def _announced(self, intent: Intent, sentence: Sentence, heard: Heard) -> list[Guess]:
        if intent.stance is not Stance.WANTED:
            return []
        choices = choose_tools(intent, heard.words, self._vocabulary)
        made = guesses(intent, choices, heard)
        waits = intent.literal is not None or sentence.text.endswith((":", "\uff1a"))
        if not made and choices and waits and sentence.cut is Cut.END:
            self._open = _Open(intent, tuple(choices), OPEN_SENTENCES)
        return made

    def _continued(self, intents: Sequence[Intent], heard: Heard, *, answered: bool) -> list[Guess]:
        """The calls of an earlier announcement whose arguments this sentence lists."""
        waiting = self._open
        if waiting is None or waiting.intent in intents:
            return []
        if answered or waiting.left == 0:
            self._open = None
            return []
        self._open = replace(waiting, left=waiting.left - 1)
        if not heard.values or any(intent.stance is not Stance.WANTED for intent in intents):
            return []
        whole = replace(waiting.intent, first=0, last=len(heard.words) - 1)
        found = guesses(whole, waiting.choices, heard)
        if found:
            self._open = None
        return found

    def _refused(self, intents: Sequence[Intent], heard: Heard) -> Iterator[Retraction]:
        """Take back what the sentence says will not be done."""
        for intent in intents if len(self._live) else ():
            if intent.stance is not Stance.NEGATED:
                continue
            for choice in choose_tools(intent, heard.words, self._vocabulary)[:1]:
                named = bind_explicit(
                    choice.tool, heard.values, heard.words, heard.talk, first=intent.first, last=intent.last
                )[0].args
                for call in self._live.calls:
                    if call.tool == choice.tool.spec.name and _agrees(call.args, named):
                        yield from self._live.retract(call, "the model decided against it")

    def _reconsider(self, sentence: Sentence, meant: set[Call]) -> Iterator[Retraction]:
        for call in [call for call, number in self._early.items() if number == sentence.number]:
            del self._early[call]
            if call not in meant:
                yield from self._live.retract(call, "the sentence went on differently")

    def _say(self, guess: Guess, sentence: Sentence, low: str) -> Iterator[Proposal]:
        if guess.call in self._live or self._said >= MAX_CANDIDATES:
            return
        if guess.confidence < self._min_confidence or (self._asks_leave and not guess.tool.reads):
            return
        if self._amending:
            yield from self._amended(guess, replaces_any="instead" in low or "rather" in low)
        self._said += 1
        self._tools[guess.call] = guess.tool
        if sentence.cut is Cut.EARLY:
            self._early[guess.call] = sentence.number
        yield from self._live.propose(
            Candidate(
                call=guess.call,
                confidence=round(guess.confidence, 4),
                predictor=NAME,
                evidence=sentence.text[:200],
                tainted=guess.tainted,
            )
        )

    def _amended(self, guess: Guess, *, replaces_any: bool) -> Iterator[Retraction]:
        same = [call for call in self._live.calls if call.tool == guess.call.tool]
        old = same or (list(self._live.calls) if replaces_any else [])
        if old:
            yield from self._live.retract(old[-1], "the model changed its mind")


def _agrees(args: Mapping[str, Any], named: Mapping[str, Any]) -> bool:
    return all(args.get(name) == value for name, value in named.items())
