"""What the texts say of a value, looked up once for as long as it holds."""

from __future__ import annotations

from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.remembered import Look

NOTHING: frozenset[str] = frozenset()


def look(dialogue: Dialogue, value: str) -> Look:
    """What the texts say of the value now."""
    sight = dialogue.known.get(value)
    times = sight.times if sight is not None else 0
    known = dialogue.looks.get(value)
    if known is not None and known.times == times:
        return known
    low = value.lower()
    user = value in dialogue.user_values or low in dialogue.user_text
    words, title = NOTHING, NOTHING
    if sight is not None and sight.records:
        heard = dialogue.heard_words
        for record in sight.records[-3:]:
            words |= heard & record.words
            title = record.title or title
    found = dialogue.looks[value] = Look(
        times=times,
        user=user,
        everywhere=user or value in dialogue.all_user_values or low in dialogue.all_user_text,
        model=value in dialogue.model_values or low in dialogue.model_text,
        words=words,
        title=title,
    )
    return found
