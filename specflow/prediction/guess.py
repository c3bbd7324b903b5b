"""Turns one announcement into the calls it means, each with a confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specflow.effects.call import Call
from specflow.prediction.binding import Bound, bind_explicit
from specflow.prediction.choice import WRITE_COVERAGE, Choice
from specflow.prediction.clause import Cut
from specflow.prediction.conversation import Conversation
from specflow.prediction.fit import fitting_call
from specflow.prediction.recall import complete
from specflow.prediction.stance import Intent
from specflow.prediction.tool_words import ToolWords
from specflow.prediction.values import Value, ValueKind, find_values
from specflow.prediction.words import Token

TIE = 0.12
MOST_MADE = 64
"""Calls of a turn that are kept, fitting or not."""
_LOOSE = frozenset({ValueKind.NAME, ValueKind.NUMBER})


@dataclass(frozen=True, slots=True)
class Guess:
    """A call that a sentence means, before it is said."""

    call: Call
    tool: ToolWords
    confidence: float
    tainted: bool


Made = dict[tuple[str, str], Call | None]


class Heard:
    """What one sentence gives to go by; the conversation and the values are looked up when they are needed.

    `made` keeps the calls of a turn, which are mostly the same ones.
    """

    __slots__ = ("_found", "_made", "cut", "talk", "words")

    def __init__(self, cut: Cut, words: Sequence[Token], talk: Conversation, made: Made) -> None:
        self.cut = cut
        self.words = words
        self.talk = talk
        self._made = made
        self._found: list[Value] | None = None

    def call(self, tool: ToolWords, args: Mapping[str, Any]) -> Call | None:
        """The call with these arguments, None when they do not fit."""
        key = tool.spec.name, repr(args)
        if key not in self._made:
            if len(self._made) >= MOST_MADE:
                self._made.clear()
            self._made[key] = fitting_call(tool.spec, args, tool.plain)
        return self._made[key]

    @property
    def found(self) -> list[Value] | None:
        """The values, if anybody has asked for them."""
        return self._found

    @property
    def values(self) -> list[Value]:
        """The values of the sentence."""
        if self._found is None:
            self._found = find_values(self.words, year=self.talk.year, today=self.talk.today)
        return self._found


def guesses(intent: Intent, choices: Sequence[Choice], heard: Heard) -> list[Guess]:
    """The calls a wanted action means: of the best tool whose parameters can all be filled, else none."""
    found: list[tuple[float, list[Guess]]] = []
    for choice in choices:
        made = _calls(choice, intent, heard)
        if made:
            if choice.score < choices[0].score - 0.15:
                # Another tool suits the words better, only its parameters stay empty.
                made = [_less(guess, 0.6) for guess in made]
            found.append((choice.score + 0.3 * max(guess.confidence for guess in made), made))
    if not found:
        return []
    found.sort(key=lambda entry: -entry[0])
    best = found[0][1]
    if len(found) > 1 and found[0][0] - found[1][0] < TIE:
        if not best[0].tool.reads:
            return []
        return [_less(guess, 0.7) for guess in best]
    return best


def listed(waiting: Intent, choice: Choice, args: Mapping[str, Any], heard: Heard) -> list[Guess]:
    """The call whose arguments were listed, once they all are; of a read those that are required."""
    needed = {slot.name for slot in choice.tool.slots if slot.required or not choice.tool.reads}
    bound = Bound(dict(args), set(args))
    if not needed <= args.keys() or not _write_is_meant(choice, waiting, bound):
        return []
    call = heard.call(choice.tool, args)
    if call is None:
        return []
    return [Guess(call, choice.tool, _confidence(choice, waiting, bound, call, heard.talk), tainted=False)]


def _less(guess: Guess, factor: float) -> Guess:
    return Guess(guess.call, guess.tool, guess.confidence * factor, guess.tainted)


def _calls(choice: Choice, intent: Intent, heard: Heard) -> list[Guess]:
    tool = choice.tool
    if heard.cut is not Cut.END and not _may_settle(tool, heard):
        return []
    words, talk = heard.words, heard.talk
    said = [token.low for token in words[max(0, intent.first - 3) : intent.last + 1]]
    found = bind_explicit(tool, heard.values, words, talk, first=intent.first, last=intent.last)
    made: list[Guess] = []
    for bound in found:
        if (choice.by_verb or intent.verb == "need") and not _all_explicit(tool, bound):
            return made
        if heard.cut is not Cut.END and not _settled(tool, intent, bound, heard.values):
            return []
        if not complete(tool, bound, talk, said):
            return made
        for whole in (bound, *bound.others):
            call = heard.call(tool, whole.args) if _write_is_meant(choice, intent, whole) else None
            if call is not None:
                made.append(Guess(call, tool, _confidence(choice, intent, whole, call, talk), whole.tainted))
    return made


def _all_explicit(tool: ToolWords, bound: Bound) -> bool:
    return bool(bound.explicit) and bound.explicit >= tool.required


def _may_settle(tool: ToolWords, heard: Heard) -> bool:
    """Whether an unfinished sentence has as many values as the tool needs; most fail `_settled` by this."""
    return tool.reads and len(heard.values) >= tool.fewest


def _settled(tool: ToolWords, intent: Intent, bound: Bound, values: Sequence[Value]) -> bool:
    """Whether an unfinished sentence already fixes the call: a read, every argument explicit and closed."""
    if (
        not tool.reads
        or not tool.required
        or not _all_explicit(tool, bound)
        or intent.deferred
        or intent.weak
    ):
        return False
    loose = {value.text for value in values if value.kind in _LOOSE}
    return bound.doubt > 0.9 and not any(bound.args[name] in loose for name in tool.required)


def _write_is_meant(choice: Choice, intent: Intent, bound: Bound) -> bool:
    """A write needs a plain announcement, its own words, and arguments that were not picked from results."""
    if choice.tool.reads:
        return True
    return (
        not intent.weak
        and not intent.deferred
        and intent.verb != "need"
        and choice.coverage >= WRITE_COVERAGE
        and not bound.tainted
        and bound.doubt > 0.7
    )


def _confidence(choice: Choice, intent: Intent, bound: Bound, call: Call, talk: Conversation) -> float:
    confidence = 0.55 + 0.2 * min(1.0, choice.coverage) + (0.15 if intent.literal is not None else 0.0)
    if _all_explicit(choice.tool, bound):
        confidence += 0.1
    if choice.learned:
        confidence *= choice.coverage
    confidence *= bound.doubt
    if intent.weak:
        confidence *= 0.7 if _all_explicit(choice.tool, bound) else 0.45
    lists = intent.verb != "need" and "list" in intent.families - choice.tool.families
    if lists and intent.literal is None:
        confidence *= 0.5  # things are listed for the user more often than looked up
    if intent.deferred:
        confidence *= 0.6
    if call.fingerprint in talk.made:
        confidence *= 0.3  # the answer is already in the conversation
    return min(confidence, 0.95)
