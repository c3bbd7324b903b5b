"""The ear of the sniffer for one turn: hears text sentence by sentence, and says what is announced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace

from specflow.effects.call import Call
from specflow.prediction import language
from specflow.prediction.call_or_reply import CallOrReply
from specflow.prediction.candidate import Candidate, Proposal, Retraction
from specflow.prediction.choice import choose_tools
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.clause import Cut, Sentence, SentenceReader
from specflow.prediction.conversation import Conversation
from specflow.prediction.guess import Guess, Heard, Made, guesses, listed
from specflow.prediction.listed import Waiting, listed_argument
from specflow.prediction.predictor import TurnContext
from specflow.prediction.proposals import LiveProposals
from specflow.prediction.reading import Reading
from specflow.prediction.refusal import refused
from specflow.prediction.shelf import Shelf
from specflow.prediction.stance import Intent, Stance, find_intents, may_announce, may_matter
from specflow.prediction.tool_words import ToolWords
from specflow.prediction.trigger_lessons import TurnLesson
from specflow.prediction.triggers import Triggers
from specflow.prediction.vocabulary import Vocabulary

NAME = "sniffer"
MAX_CANDIDATES = 16
"""Candidates of one turn, over all attempts: a text that asks for a thousand calls gets no more."""
MAX_CHARS = 1_000_000
"""Characters of one attempt that are listened to."""
_ATTITUDES = (
    language.AMENDS.words | language.TAKES_BACK.words | language.ASKS_LEAVE.words | language.HAS_LEAVE.words
)


class SnifferListener:
    """One turn's ear. What it says depends on the text alone, never on how the stream cut it."""

    def __init__(
        self,
        context: TurnContext,
        vocabulary: Vocabulary,
        *,
        min_confidence: float,
        shelf: Shelf,
        triggers: Triggers | None = None,
        lesson: TurnLesson | None = None,
    ) -> None:
        self._context = context
        self._shelf = shelf
        self._triggers = triggers
        self._lesson = lesson
        self._vocabulary = vocabulary
        self._min_confidence = min_confidence
        self._live = LiveProposals(predictor=NAME)
        self._stream: str | None = None
        self._streams: list[str] = []
        self._said = 0
        self._restart()

    def _restart(self) -> None:
        self._reader = SentenceReader()
        self._reading = Reading()
        self._kind = ChunkKind.REASONING
        self._chars = 0
        self._talk = Conversation(self._context.history, self._shelf)
        self._tools: dict[Call, ToolWords] = {}
        self._made: Made = {}
        self._early: dict[Call, int] = {}
        self._stands: dict[int, tuple[int, list[Guess]]] = {}
        self._amending = 0
        self._asks_leave = False
        self._open: Waiting | None = None
        self._outcome = CallOrReply()
        if self._lesson is not None:
            self._lesson.said.clear()

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        """What this piece of text announces or takes back."""
        out: list[Proposal] = []
        if chunk.stream != self._stream or chunk.kind is not self._kind:
            if chunk.stream != self._stream and chunk.stream in self._streams:
                return ()  # a late piece of an attempt that was given up
            out.extend(self._turn_to(chunk))
        text = chunk.text
        if not text or chunk.kind is ChunkKind.TOOL_CALL or self._chars >= MAX_CHARS:
            return out
        if self._chars + len(text) > MAX_CHARS:
            text = text[: MAX_CHARS - self._chars]
        self._chars += len(text)
        if self._talk.behind:
            self._talk.advance()
        for sentence in self._reader.feed(text):
            if proposals := self._sentence(sentence):
                out.extend(proposals)
        return out

    def _turn_to(self, chunk: Chunk) -> Iterator[Proposal]:
        """Another attempt, or another kind of text, begins with this piece."""
        if chunk.stream != self._stream:
            self._stream = chunk.stream
            self._streams = [*self._streams[-15:], chunk.stream]
            yield from self._live.retract_all("the stream was started again")
            self._restart()
        if chunk.kind is not self._kind:
            yield from self.end()
            self._kind = chunk.kind

    @property
    def will_call(self) -> float:
        """How likely it is, by the text so far, that this message calls a tool rather than only replies."""
        return self._outcome.probability(live=len(self._live) > 0, leave=self._asks_leave)

    def end(self) -> list[Proposal]:
        """What the last, unfinished sentence says when nothing follows it."""
        return [proposal for sentence in self._reader.end() for proposal in self._sentence(sentence)]

    def _sentence(self, sentence: Sentence) -> Iterable[Proposal]:
        if self._said >= MAX_CANDIDATES and not len(self._live):
            return ()  # nothing can be said or taken back any more
        self._reading.take(sentence)
        if sentence.cut is not Cut.EARLY:
            return self._whole(sentence)
        return () if self._full else self._look(sentence)

    @property
    def _full(self) -> bool:
        """Whether no guess can change anything any more: all have been said, and none was said too early."""
        return self._said >= MAX_CANDIDATES and not self._early

    def _look(self, sentence: Sentence) -> Iterable[Proposal]:
        """An early look: only a plain announcement of a read is worth one."""
        reading = self._reading
        if not reading.promises(self._vocabulary.fewest):
            return ()  # too few values, or the same ones as at the last look
        reading.listen()
        if not (language.COMMIT.within(reading.low, reading.heard) or "_" in reading.low):
            return ()
        reading.looked()
        reading.read()
        intents = find_intents(reading.low, reading.heard, reading.words, self._vocabulary)
        heard = Heard(sentence.cut, reading.words, self._talk, self._made)
        out: list[Proposal] = []
        for intent in intents:
            if not (intent.weak or intent.deferred):
                found = self._announced(intent, sentence, heard)
                if found:
                    self._stands[intent.first] = reading.promising(), found
                for guess in found:
                    out.extend(self._say(guess, sentence, reading.low))
        return out

    def _standing(self, intent: Intent) -> list[Guess]:
        """What an early look made of this announcement, unless the rest of the sentence may change it."""
        promising, found = self._stands.get(intent.first, (-1, []))
        if intent.stance is not Stance.WANTED or promising != self._reading.promising():
            return []
        open_choice = any(
            slot.enum and slot.name not in guess.call.args for guess in found for slot in guess.tool.slots
        )
        return [] if open_choice or intent.weak or intent.deferred else found

    def _whole(self, sentence: Sentence) -> Iterator[Proposal]:
        reading = self._reading
        reading.listen()
        full = self._full
        if not _ATTITUDES.isdisjoint(reading.heard):
            yield from self._attitude(reading.low, reading.heard)
        found: list[Guess] = []
        heard: Heard | None = None
        wanted = False
        matters = may_matter(reading.low, reading.heard, self._vocabulary) and (
            bool(reading.words or self._open) or may_announce(reading.low, reading.heard, self._vocabulary)
        )
        if matters or (self._open is not None and not full and reading.may_list()):
            reading.read()
            intents = find_intents(reading.low, reading.heard, reading.words, self._vocabulary)
            heard = Heard(sentence.cut, reading.words, self._talk, self._made)
            wanted = any(intent.stance is Stance.WANTED for intent in intents)
            if wanted and self._lesson is not None:
                self._lesson.heard(reading.words, intents)
            for intent in () if full else intents:
                found.extend(self._standing(intent) or self._announced(intent, sentence, heard))
            for call in refused(intents, heard, self._vocabulary, self._live, self._triggers):
                yield from self._live.retract(call, "the model decided against it")
            if not full:
                found.extend(self._continued(intents, heard, answered=bool(found)))
        elif self._open is not None:
            self._wait()
        self._stands.clear()
        if self._early:
            yield from self._reconsider(sentence, {guess.call for guess in found})
        for guess in found:
            yield from self._say(guess, sentence, reading.low)
        self._talk.hear(sentence.text, reading.words, heard.found if heard else None)
        visible = self._kind is ChunkKind.TEXT
        self._outcome.took(reading.low, reading.heard, visible=visible, wanted=wanted)
        self._amending = max(0, self._amending - 1)

    def _attitude(self, low: str, heard: Set[str]) -> Iterator[Retraction]:
        """Amendments, and turning to the user for leave."""
        if language.AMENDS.within(low, heard):
            self._amending = 3
        if self._live.calls and language.TAKES_BACK.within(low, heard):
            yield from self._live.retract(self._live.calls[-1], "the model took it back")
        if language.ASKS_LEAVE.within(low, heard):
            self._asks_leave = True
            for call in self._live.calls:
                if not self._tools[call].reads:
                    yield from self._live.retract(call, "the model asks for leave first")
        elif language.HAS_LEAVE.within(low, heard):
            self._asks_leave = False

    def _announced(self, intent: Intent, sentence: Sentence, heard: Heard) -> list[Guess]:
        if intent.stance is not Stance.WANTED:
            return []
        choices = choose_tools(intent, heard.words, self._vocabulary, self._triggers)
        made = guesses(intent, choices, heard)
        waits = intent.literal is not None or sentence.text.endswith((":", "\uff1a"))
        if not made and choices and waits and sentence.cut is Cut.END:
            self._open = Waiting(intent, tuple(choices))
        return made

    def _continued(self, intents: Sequence[Intent], heard: Heard, *, answered: bool) -> list[Guess]:
        """The calls of an earlier announcement whose arguments this sentence lists."""
        waiting = self._open
        if waiting is None or waiting.intent in intents:
            return []
        if answered:
            self._open = None
            return []
        named = waiting.intent.literal
        line = listed_argument(named, self._reading.text) if named is not None else None
        if line is not None:
            waiting.args[line[0]] = line[1]
            if found := listed(waiting.intent, waiting.choices[0], waiting.args, heard):
                self._open = None
                return found
        else:
            self._wait()
        if not heard.values or any(intent.stance is not Stance.WANTED for intent in intents):
            return []
        whole = replace(waiting.intent, first=0, last=len(heard.words) - 1)
        found = guesses(whole, waiting.choices, heard)
        if found:
            self._open = None
        return found

    def _wait(self) -> None:
        """A sentence went by that lists nothing."""
        if self._open is not None:
            self._open = replace(self._open, left=self._open.left - 1) if self._open.left else None

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
