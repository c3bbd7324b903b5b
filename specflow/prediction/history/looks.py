"""What the texts say of a value, looked up once for as long as it holds."""

from __future__ import annotations

from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.remembered import Look
from specflow.prediction.history.seen import Record

NOTHING: frozenset[str] = frozenset()


def look(dialogue: Dialogue, value: str) -> Look:
    """What the texts say of the value now."""
    return dialogue.looks.get(value) or _looked_up(dialogue, value)


def _looked_up(dialogue: Dialogue, value: str) -> Look:
    sight, before = dialogue.known.get(value), dialogue.looked_before.get(value)
    low = value.lower()
    user = value in dialogue.user_values or low in dialogue.user_text
    words, title = NOTHING, NOTHING
    if sight is not None and sight.records:
        for record in sight.records[-3:]:
            words |= _heard(dialogue, record)
            title = record.title or title
    everywhere = user or _everywhere(dialogue, value, low, before)
    model = value in dialogue.model_values or low in dialogue.model_text
    said_at = dialogue.user_text.find(low) if user else -1
    found = Look(dialogue.users, user, everywhere, model, words, title, said_at)
    dialogue.looks[value] = found
    return found


def _everywhere(dialogue: Dialogue, value: str, low: str, before: Look | None) -> bool:
    """Whether the user ever said the value; what was known before the last message still holds."""
    if before is not None and (before.everywhere or before.users >= dialogue.users - 1):
        return before.everywhere
    return value in dialogue.all_user_values or low in dialogue.all_user_text


def _heard(dialogue: Dialogue, record: Record) -> frozenset[str]:
    """The words of a record that somebody said."""
    known = dialogue.heard.get(id(record))
    if known is None:
        # The record is kept as well: no other may get its identity meanwhile.
        known = dialogue.heard[id(record)] = record, dialogue.heard_words & record.words
    return known[1]
