"""How a sentence stands to an action: wanted now, refused, supposed, or not about one at all."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter

from specflow.prediction import language
from specflow.prediction.phrases import Phrases, Several
from specflow.prediction.reported import is_reported
from specflow.prediction.tool_words import ToolWords
from specflow.prediction.vocabulary import Vocabulary
from specflow.prediction.words import Token, stem, word_set

MAX_INTENTS = 4
_BARE = frozenset(
    [
        *["need to", "should", "must", "going to", "proceed to", "proceed with", "have to", "go ahead and"],
        *["time to", "proceeding to", "proceeding with", "je", "ich", "i'm"],
    ]
)
_SUBJECTS = word_set("i we so and then now i'll we'll next also first just but i'm am it's is let's me thus")
_NEEDING = word_set("i we need want i'll necesito ich brauche il")
_MODALS = word_set("would could may might können könnte würde pourrais podría poderia")
_CALLING = word_set("call calling use using invoke invoking run execute action function tool name with")
_AFTER_NEGATED = Phrases("nicht|kein|keine|keinen|ikke|inte|niet|pas|nothing|no more")
_AND = word_set("and then und et y e og och")
_FURTHER = word_set("then also dann to")
_BREAKS = word_set("so but")
# "to see if it fits" asks a question; it sets no condition.
_ASKING = re.compile(r"(?:see|check|determine|verify|know|out|confirm|ensure) (?:if|whether)")
_DETERMINERS = word_set("the a an this that these those my your our their its it")
_QUOTED = re.compile(r'"[^"]*"|“[^”]*”')
_TRIGGERS = Several(language.NEED, language.MAY, language.COMMIT)
_TURNS = (language.NEGATED, language.PAST, language.SUPPOSED, language.AWAITS, language.TAKES_BACK)
_TURNING = _AFTER_NEGATED.words.union(*(one.words for one in (*_TURNS, language.DEFERRED)))
"""A sentence without any of these words means what it announces, and at once."""
_NO_ACTION = language.SPEECH | {"use", "using"}
_NONE: frozenset[str] = frozenset()
_START = attrgetter("start")


class Stance(Enum):
    """Whether the action is meant."""

    WANTED = "wanted"
    NEGATED = "negated"
    SUPPOSED = "supposed"


@dataclass(slots=True, kw_only=True)
class Intent:
    """An action over the tokens `first` to `last` of its sentence.

    `weak`: only said to be possible, or without a person; `deferred`: not the very next thing.
    `literal` is the tool whose name is written out.
    """

    stance: Stance
    verb: str
    families: frozenset[str]
    first: int
    last: int
    weak: bool = False
    deferred: bool = False
    literal: ToolWords | None = None


def may_matter(low: str, heard: Set[str], vocabulary: Vocabulary) -> bool:
    """A cheap test that most sentences fail: whether looking for intents can find any."""
    if "_" in low:
        return True
    return vocabulary.may_act(heard) and (
        not _TRIGGERS.words.isdisjoint(heard) or _starts_with_verb(low, vocabulary)
    )


def may_announce(low: str, heard: Set[str], vocabulary: Vocabulary) -> bool:
    """A finer test, for a sentence that `may_matter`: whether anything in it begins an announcement."""
    return (
        _TRIGGERS.may_be_in(low, heard)
        or not vocabulary.literal_runs.isdisjoint(heard)
        or _starts_with_verb(low, vocabulary)
    )


def _starts_with_verb(low: str, vocabulary: Vocabulary) -> bool:
    start = [word.strip(",.:*`\"'") for word in low.lstrip("*-#> 0123456789.)").split(None, 5)[:5]]
    for at, bare in enumerate(start):
        if bare in _DETERMINERS:
            return False  # "the exchange rate is": nothing is asked for
        if bare in language.FAMILIES_OF or (vocabulary.verb_stems and stem(bare) in vocabulary.verb_stems):
            # "research shows" is about research
            return at + 1 >= len(start) or start[at + 1] not in language.REPORTS
        if bare not in language.FILLERS:
            return False
    return False


def find_intents(low: str, heard: Set[str], words: Sequence[Token], vocabulary: Vocabulary) -> list[Intent]:
    """The actions that a sentence announces, refuses or supposes, in order, at most four.

    `low` is the sentence, lowered; `heard` its words (`runs`).
    """
    whole = low
    if '"' in low or "\u201c" in low:
        low = _QUOTED.sub(lambda match: " " * len(match.group()), low)
    found: list[Intent] = []
    taken = -1
    for trigger_start, trigger_end, weak in _triggers(low, heard, words, vocabulary):
        at = _token_at(words, trigger_end)
        if at <= taken or is_reported(whole, heard, trigger_start):
            continue
        action = _action(words, at, vocabulary) or _at_the_end(words, at, vocabulary)
        if action is None:
            continue
        taken = action.first
        _place(action, low, heard, words, trigger_start, weak=weak)
        found.append(action)
        if not _AND.isdisjoint(heard):
            found.extend(_coordinated(words, action, vocabulary))
        if len(found) >= MAX_INTENTS:
            break
    for at, intent in enumerate(found):
        end = found[at + 1].first if at + 1 < len(found) else len(words)
        intent.last = max(end - 1, intent.first)
    return found[:MAX_INTENTS]


def _triggers(
    low: str, heard: Set[str], words: Sequence[Token], vocabulary: Vocabulary
) -> list[tuple[int, int, bool]]:
    """Start, end and weakness of each announcement, in order."""
    found: dict[int, tuple[int, int, bool]] = {}
    needs, mays, commits = _TRIGGERS.among(low, heard, words)
    for match in needs:
        if not low.startswith(" to ", match.end()):
            found[match.end()] = (match.start(), match.start(), False)
    for match in mays:
        found[match.end()] = (match.start(), match.end(), True)
    for match in commits:
        if match.group() not in _BARE or _speaks(words, match.start()):
            found[match.end()] = (match.start(), match.end(), False)
    if not found and _starts_with_verb(low, vocabulary):
        found[0] = (0, 0, True)
    if not vocabulary.literal_runs.isdisjoint(heard):
        for at, token in enumerate(words):
            if (
                token.low in vocabulary.literals
                and (
                    any(word.low in _CALLING for word in words[max(0, at - 4) : at])
                    or (at + 1 < len(words) and words[at + 1].text == "(")
                )
                and all(_opens(word) for word in words[:at])
            ):
                found.setdefault(token.start, (token.start, token.start, False))
    return sorted(found.values(), key=lambda trigger: (trigger[1], trigger[0]))


def _speaks(words: Sequence[Token], start: int) -> bool:
    """Whether a verb without its own subject is the speaker's: nobody else stands right in front of it."""
    at = _token_at(words, start)
    return at == 0 or words[at - 1].sign or words[at - 1].low in _SUBJECTS


def _token_at(words: Sequence[Token], position: int) -> int:
    return bisect_left(words, position, key=_START)


def _opens(word: Token) -> bool:
    """Whether a word may stand in front of a written-out call that nothing else announces."""
    return word.sign or word.low in _CALLING or word.low in _SUBJECTS or word.low in language.FILLERS


def _action(words: Sequence[Token], at: int, vocabulary: Vocabulary) -> Intent | None:
    """The verb, or the written-out tool name, that an announcement leads to."""
    unknown = 0
    calling = False
    needed = at < len(words) and words[at].low in _NEEDING
    for position in range(at, min(len(words), at + 10)):
        token = words[position]
        action = _verb(token, position, vocabulary)
        if action is not None:
            return action
        if token.low in language.SPEECH:
            return None
        families = language.FAMILIES_OF.get(token.low, _NONE)
        calling = calling or "call" in families or token.low == "using"
        if token.sign or token.low in language.FILLERS or families:
            continue
        if calling or needed:  # "use the weather tool", "I need the details"
            return _intent(position, token.low if calling else "need", language.READING)
        unknown += 1
        if unknown > 2:
            return None
    return None


def _at_the_end(words: Sequence[Token], at: int, vocabulary: Vocabulary) -> Intent | None:
    """The verb at the end of its sentence: "Ich muss das Wetter in Kiel abfragen"."""
    last = len(words) - 1
    low = words[last].low if at < last else ""
    if low not in vocabulary.verb_words or any(token.low in language.SPEECH for token in words[at:last]):
        return None
    return _intent(at, low, frozenset())


def _verb(token: Token, position: int, vocabulary: Vocabulary) -> Intent | None:
    tool = vocabulary.literals.get(token.low)
    if tool is not None:
        return _intent(position, token.low, tool.families, literal=tool)
    families = language.FAMILIES_OF.get(token.low, _NONE)
    known = bool(families) or token.low in vocabulary.verb_words or stem(token.low) in vocabulary.verb_stems
    if known and families != {"call"} and token.low not in _NO_ACTION:
        return _intent(position, token.low, families)
    return None


def _intent(first: int, verb: str, families: frozenset[str], *, literal: ToolWords | None = None) -> Intent:
    return Intent(
        stance=Stance.WANTED, verb=verb, families=families, first=first, last=first, literal=literal
    )


def _place(
    action: Intent, low: str, heard: Set[str], words: Sequence[Token], trigger: int, *, weak: bool
) -> None:
    """How the sentence stands to the action that its announcement at `trigger` leads to."""
    action.weak = weak
    asks = low.rstrip(' "*').endswith(("?", "\uff1f")) or words[0].low in language.QUESTION
    if _TURNING.isdisjoint(heard):
        if asks:
            action.stance = Stance.SUPPOSED
        return
    verb = words[action.first]
    prefix, suffix = low[:trigger], low[verb.end :]
    if "if" in heard or "whether" in heard:
        suffix = _ASKING.sub(" ", suffix)
    near = _near(low, words, trigger, verb.start, reach=7 if action.literal is not None else 4)
    if (
        language.NEGATED.search(near, heard)
        or language.PAST.search(near, heard)
        or _AFTER_NEGATED.search(suffix[:40], heard)
    ):
        action.stance = Stance.NEGATED
    elif (
        asks
        or any(match.group() not in _MODALS for match in language.SUPPOSED.finditer(prefix, heard))
        or language.SUPPOSED.search(near, heard)
        or language.AWAITS.search(suffix, heard)
        or language.TAKES_BACK.search(suffix, heard)
    ):
        action.stance = Stance.SUPPOSED
    action.deferred = language.DEFERRED.search(low[: verb.start], heard) is not None


def _near(low: str, words: Sequence[Token], trigger: int, verb: int, *, reach: int) -> str:
    """The text around an announcement: up to `reach` words in front of it within its clause, to the verb."""
    at = _token_at(words, trigger)
    start = at
    while start > max(0, at - reach) and not words[start - 1].sign and words[start - 1].low not in _BREAKS:
        start -= 1
    return low[words[start].start if start < len(words) else trigger : verb]


def _coordinated(words: Sequence[Token], intent: Intent, vocabulary: Vocabulary) -> Iterator[Intent]:
    """Further verbs in the same breath: "search flights and then book one"."""
    for at in range(intent.first + 1, min(len(words) - 1, intent.first + 40)):
        if words[at].low not in _AND:
            continue
        following = at + 1
        while following < len(words) and words[following].low in _FURTHER:
            following += 1
        if following >= len(words):
            return
        verb = words[following].low
        families = language.FAMILIES_OF.get(verb, frozenset())
        tool = vocabulary.literals.get(verb)
        if (families and families != {"call"}) or tool is not None:
            yield Intent(
                stance=intent.stance,
                verb=verb,
                families=tool.families if tool else families,
                first=following,
                last=following,
                weak=intent.weak,
                deferred=intent.deferred or not (families & language.READING),
                literal=tool,
            )
            return
