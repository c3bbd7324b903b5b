"""How a sentence stands to an action: wanted now, refused, supposed, or not about one at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from specflow.prediction import language
from specflow.prediction.vocabulary import ToolWords, Vocabulary
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
_AFTER_NEGATED = re.compile(r"(?<!\w)(?:nicht|kein|keine|keinen|ikke|inte|niet|pas|nothing|no more)(?!\w)")
# "to see if it fits" asks a question; it sets no condition.
_ASKING = re.compile(r"(?:see|check|determine|verify|know|out|confirm|ensure) (?:if|whether)")
_QUOTES = frozenset('"“”')


class Stance(Enum):
    """Whether the action is meant."""

    WANTED = "wanted"
    NEGATED = "negated"
    SUPPOSED = "supposed"


@dataclass(frozen=True, slots=True, kw_only=True)
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


def may_matter(low: str, vocabulary: Vocabulary) -> bool:
    """A cheap test that most sentences fail: whether looking for intents can find any."""
    return bool(
        language.COMMIT.search(low)
        or language.MAY.search(low)
        or language.NEED.search(low)
        or _starts_with_verb(low, vocabulary)
        or "_" in low
    )


def _starts_with_verb(low: str, vocabulary: Vocabulary) -> bool:
    start = [word.strip(",.:*`\"'") for word in low.lstrip("*-#> 0123456789.)").split(None, 5)[:5]]
    for bare, following in zip(start, [*start[1:], ""], strict=False):
        if bare in language.FAMILIES_OF or stem(bare) in vocabulary.verb_stems:
            return following not in language.REPORTS  # "research shows" is about research
        if bare not in language.FILLERS:
            return False
    return False


def find_intents(text: str, words: Sequence[Token], vocabulary: Vocabulary) -> list[Intent]:
    """The actions that a sentence announces, refuses or supposes, in order, at most four."""
    low = text.lower().replace("\u2019", "'")
    found: list[Intent] = []
    taken = -1
    for trigger_start, trigger_end, weak in _triggers(low, words, vocabulary):
        at = _token_at(words, trigger_end)
        if at <= taken or _inside_quotes(words, trigger_start):
            continue
        action = _action(words, at, vocabulary)
        if action is None:
            continue
        taken = action.first
        found.append(_placed(low, words, action, trigger_start, weak=weak))
        found.extend(_coordinated(words, found[-1], vocabulary))
        if len(found) >= MAX_INTENTS:
            break
    ends = [*(intent.first for intent in found[1:]), len(words)] if found else []
    spans = zip(found, ends, strict=True)
    return [replace(intent, last=max(end - 1, intent.first)) for intent, end in spans][:MAX_INTENTS]


def _triggers(low: str, words: Sequence[Token], vocabulary: Vocabulary) -> list[tuple[int, int, bool]]:
    """Start, end and weakness of each announcement, in order."""
    found: dict[int, tuple[int, int, bool]] = {}
    for match in language.NEED.finditer(low):
        if not low.startswith(" to ", match.end()):
            found[match.end()] = (match.start(), match.start(), False)
    for match in language.MAY.finditer(low):
        found[match.end()] = (match.start(), match.end(), True)
    for match in language.COMMIT.finditer(low):
        if match.group() not in _BARE or _speaks(words, match.start()):
            found[match.end()] = (match.start(), match.end(), False)
    if not found and _starts_with_verb(low, vocabulary):
        found[0] = (0, 0, True)
    for at, token in enumerate(words):
        if _literal(token, vocabulary) and (
            any(word.low in _CALLING for word in words[max(0, at - 4) : at])
            or (at + 1 < len(words) and words[at + 1].text == "(")
        ):
            found.setdefault(token.start, (token.start, token.start, False))
    return sorted(found.values(), key=lambda trigger: (trigger[1], trigger[0]))


def _speaks(words: Sequence[Token], start: int) -> bool:
    """Whether a verb without its own subject is the speaker's: nobody else stands right in front of it."""
    at = _token_at(words, start)
    return at == 0 or words[at - 1].sign or words[at - 1].low in _SUBJECTS


def _token_at(words: Sequence[Token], position: int) -> int:
    low, high = 0, len(words)
    while low < high:
        middle = (low + high) // 2
        if words[middle].start < position:
            low = middle + 1
        else:
            high = middle
    return low


def _inside_quotes(words: Sequence[Token], position: int) -> bool:
    return sum(token.text in _QUOTES for token in words if token.start < position) % 2 == 1


def _literal(token: Token, vocabulary: Vocabulary) -> ToolWords | None:
    tool = vocabulary.by_name.get(token.low)
    # A tool called `search` is not meant wherever the word is used.
    plain = tool is not None and tool.spec.name.isalpha() and tool.spec.name.islower()
    return None if plain else tool


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
        families = language.FAMILIES_OF.get(token.low, frozenset())
        calling = calling or "call" in families or token.low == "using"
        if token.sign or token.low in language.FILLERS or families:
            continue
        if calling or needed:  # "use the weather tool", "I need the details"
            return _intent(position, token.low if calling else "need", language.READING)
        unknown += 1
        if unknown > 2:
            return None
    return None


def _verb(token: Token, position: int, vocabulary: Vocabulary) -> Intent | None:
    tool = _literal(token, vocabulary)
    if tool is not None:
        return _intent(position, token.low, tool.families, literal=tool)
    families = language.FAMILIES_OF.get(token.low, frozenset())
    known = bool(families) or stem(token.low) in vocabulary.verb_stems
    if known and families != {"call"} and token.low not in language.SPEECH | {"use", "using"}:
        return _intent(position, token.low, families)
    return None


def _intent(first: int, verb: str, families: frozenset[str], *, literal: ToolWords | None = None) -> Intent:
    return Intent(
        stance=Stance.WANTED, verb=verb, families=families, first=first, last=first, literal=literal
    )


def _placed(low: str, words: Sequence[Token], action: Intent, trigger: int, *, weak: bool) -> Intent:
    verb = words[action.first]
    prefix, suffix = low[:trigger], _ASKING.sub(" ", low[verb.end :])
    near = _near(low, words, trigger, verb.start, reach=7 if action.literal is not None else 4)
    stance = Stance.WANTED
    if language.NEGATED.search(near) or language.PAST.search(near) or _AFTER_NEGATED.search(suffix[:40]):
        stance = Stance.NEGATED
    elif (
        low.rstrip(' "*').endswith(("?", "\uff1f"))
        or words[0].low in language.QUESTION
        or any(match.group() not in _MODALS for match in language.SUPPOSED.finditer(prefix))
        or language.SUPPOSED.search(near)
        or language.AWAITS.search(suffix)
        or language.TAKES_BACK.search(suffix)
    ):
        stance = Stance.SUPPOSED
    deferred = language.DEFERRED.search(low[: verb.start]) is not None
    return replace(action, stance=stance, weak=weak, deferred=deferred)


def _near(low: str, words: Sequence[Token], trigger: int, verb: int, *, reach: int) -> str:
    """The text around an announcement: up to `reach` words in front of it within its clause, to the verb."""
    at = _token_at(words, trigger)
    start = at
    while (
        start > max(0, at - reach) and not words[start - 1].sign and words[start - 1].low not in {"so", "but"}
    ):
        start -= 1
    return low[words[start].start if start < len(words) else trigger : verb]


def _coordinated(words: Sequence[Token], intent: Intent, vocabulary: Vocabulary) -> Iterator[Intent]:
    """Further verbs in the same breath: "search flights and then book one"."""
    for at in range(intent.first + 1, min(len(words) - 1, intent.first + 40)):
        if words[at].low not in {"and", "then", "und", "et", "y", "e", "og", "och"}:
            continue
        following = at + 1
        while following < len(words) and words[following].low in {"then", "also", "dann", "to"}:
            following += 1
        if following >= len(words):
            return
        verb = words[following].low
        families = language.FAMILIES_OF.get(verb, frozenset())
        tool = _literal(words[following], vocabulary)
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
