"""What speaks for and against a call, as names of traits that the weights are learned for."""

from __future__ import annotations

import math
from bisect import bisect
from functools import lru_cache

from specflow.prediction.history.dialogue import USER, Dialogue
from specflow.prediction.history.remembered import WordTraits
from specflow.prediction.history.words import BUCKETS, buckets

MOST_WORDS = 60

_STEPS = [0.0, *(math.exp((step - 0.5) / 1.5) for step in range(-8, 20))]
"""Where each order of magnitude begins."""


def small(count: int, most: int = 3) -> int:
    """Counts from `most` on are alike."""
    return count if count < most else most


def age_step(steps: int) -> int:
    """How many messages ago: 0, 1, 2, some, long."""
    return steps if steps < 3 else 3 if steps < 6 else 4


def log_step(probability: float) -> int:
    """Its order of magnitude, in steps of a factor of two."""
    return bisect(_STEPS, probability) - 10 if probability > 0 else -10


def of_situation(dialogue: Dialogue) -> list[str]:
    """What holds for every call and the reply alike, without the words."""
    events = dialogue.events
    last = events[-1]
    since, users = small(dialogue.since, 6), small(dialogue.users, 6)
    found = [
        "on",
        f"e1={last}",
        f"e2={'>'.join(events[-2:])}",
        f"e3={'>'.join(events[-3:])}",
        f"since={since}",
        f"users={users}",
        f"e1={last}&since={since}",
        f"e1={last}&users={small(users, 3)}",
        f"failed={dialogue.failed}",
        f"size={min(6, (dialogue.result_size + 395) // 400)}" if last != USER else "size=-",
    ]
    sought = dialogue.sought
    came: tuple[int | str, ...] = ("-",) * 4
    if last != USER:
        came = small(sought.last), small(sought.last, 4), sought.lead, int(sought.open)
    holds, holds_up_to_four, lead, left = came
    found += [
        f"sought={holds}&e1={last}",
        f"soughtall={small(sought.met)}&e1={last}",
        f"lead={lead}&e1={last}",
        f"lead={lead}&sought={holds_up_to_four}",
        f"open={left}&met={small(sought.met)}&e1={last}",
        f"open={left}&lead={lead}&e1={last}",
    ]
    for topic in sorted(dialogue.heard_topics.ever):
        found += [f"topic={topic}", f"topic={topic}&e1={last}"]
    if dialogue.agent:
        found += [f"agent={dialogue.agent}", f"agent={dialogue.agent}&e1={last}"]
    found += [f"had={tool}" for tool in dialogue.called]
    found += [f"had={tool}&e1={last}" for tool in dialogue.called]
    wanted = dialogue.user_words
    met = len(dialogue.found_words)
    found.append(f"met={small(met)}&e1={last}")
    found.append(f"short={small(len(wanted) // 3, 4)}&e1={last}")
    question = "?" in dialogue.user_text
    found.append(f"asks={question}&e1={last}")
    found.append(f"digits={any(letter.isdigit() for letter in dialogue.user_text)}&e1={last}")
    return found


def of_scope(dialogue: Dialogue) -> tuple[str, ...]:
    """The part of it that is learned of every tenant and user: little, since each alone shows little."""
    events = dialogue.events
    return "on", f"e1={events[-1]}", f"e2={'>'.join(events[-2:])}"


@lru_cache
def spelled(mark: str) -> tuple[list[str], list[str]]:
    """The traits of every word, and of every two, by their numbers."""
    return [f"{mark}{number}" for number in range(BUCKETS)], [f"{mark}{number}b" for number in range(BUCKETS)]


def of_words(dialogue: Dialogue) -> WordTraits:
    """The words of the user's last message, by number: always the same object until somebody speaks."""
    mark = "u" if dialogue.events[-1] == USER else "v"
    known = dialogue.word_traits.get(mark)
    if known is None:
        single, double = spelled(mark)
        said, pairs = buckets(dialogue.user_said[-MOST_WORDS:])
        found = [*map(single.__getitem__, said), *map(double.__getitem__, pairs)]
        if mark == "u":
            single, _ = spelled("m")
            said, _ = buckets(dialogue.model_said[-MOST_WORDS:])
            found += map(single.__getitem__, said)
        known = dialogue.word_traits[mark] = WordTraits(tuple(dict.fromkeys(found)))
    return known
