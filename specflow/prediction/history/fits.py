"""How well what calls are about fits what was said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain

from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.standing import NEVER, Part

WHOLE = 720_720
"""What a word is worth that one call alone matches: whole numbers alone, as every count to 16 divides it, so
that sums of the same words are equal in every order.
"""


@dataclass(slots=True)
class Fit:
    """How well what a call is about fits what was said: matched words, each counting less the more calls of
    the pool match it; the share of the title that was said; where in the user's last message it was said.
    """

    now: int = 0
    ever: int = 0
    model: int = 0
    title: float = 0.0
    said_at: int = NEVER


NO_FIT = Fit()


def fits_of(dialogue: Dialogue, parts: Sequence[Part]) -> list[Fit]:
    """How each of these calls fits, by where its arguments stand."""
    if not any(part.words or part.title for part in parts):
        return [NO_FIT] * len(parts)
    shared = Counter(chain.from_iterable([part.words for part in parts]))
    worth = {word: WHOLE // count for word, count in shared.items()}
    said, everyone, wrote = dialogue.user_words, dialogue.all_user_words, dialogue.model_words
    at, titles = dialogue.user_places, dialogue.titles
    alone = {word for word in said if shared.get(word) == 1}
    found = []
    for part in parts:
        words, title = part.words, part.title
        if not words and not title:
            found.append(NO_FIT)
            continue
        now, ever, model = words & said, words & everyone, words & wrote
        fit = Fit(
            sum([worth[word] for word in now]),
            sum([worth[word] for word in ever]),
            sum([worth[word] for word in model]),
        )
        if title:
            if title not in titles:
                titles[title] = _of_title(title, everyone, at)
            fit.title, fit.said_at = titles[title]
        else:
            fit.said_at = min([at[word] for word in now & alone], default=NEVER)
        found.append(fit)
    return found


def _of_title(title: frozenset[str], heard: Set[str], at: Mapping[str, int]) -> tuple[float, int]:
    """The share of the title that was heard, and where all of it was said."""
    share = len(title & heard) / len(title)
    if share == 1.0 and at.keys() >= title:
        return share, min([at[word] for word in title])
    return share, NEVER
