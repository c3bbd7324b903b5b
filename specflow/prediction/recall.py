"""Fills the parameters that a sentence left open, from what the conversation has brought up."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from specflow.prediction.binding import MAX_VARIANTS, Bound
from specflow.prediction.conversation import Conversation
from specflow.prediction.dates import iso_date
from specflow.prediction.known import Known
from specflow.prediction.language import ORDINALS, PLURALS
from specflow.prediction.suit import as_json, keyed, looks
from specflow.prediction.tool_words import Slot, ToolWords
from specflow.prediction.values import ValueKind

REMEMBERED = 2.0
"""Points that a value of the conversation needs."""
USED = 1.5
"""Points that a value loses for a parameter that had it before."""


def complete(tool: ToolWords, bound: Bound, talk: Conversation, heard: Collection[str] = ()) -> bool:
    """Fill the missing required parameters from the conversation; False when one stays empty.

    `heard` are the lower-case words of the announcement: "the third one", "each of them". Where they ask
    for several, `bound.others` gets the further calls.
    """
    for slot in tool.slots:
        if not slot.required or slot.name in bound.args:
            continue
        if "const" in slot.schema:
            bound.args[slot.name] = slot.schema["const"]
        elif not (_joined(slot, bound, talk) or _remembered(tool, slot, bound, talk, heard)):
            return False
    return True


def _joined(slot: Slot, bound: Bound, talk: Conversation) -> bool:
    """From the record in which an argument already found stood: the date of that flight."""
    for name in list(bound.args):
        known = talk.known.get(str(bound.args.get(name)))
        for record in reversed(known.records if known else []):
            data = record.get(slot.name)
            if isinstance(data, str | int | float) and (not slot.is_date or iso_date(str(data))):
                bound.args[slot.name] = data
                bound.doubt *= 0.95
                bound.tainted = bound.tainted or not talk.was_said(str(data))
                return True
    return False


def _remembered(
    tool: ToolWords, slot: Slot, bound: Bound, talk: Conversation, heard: Collection[str]
) -> bool:
    taken = {str(value) for value in bound.args.values()}
    scored = [one for one in remembered_values(tool, slot, talk) if one[1].text not in taken]
    if not scored:
        return False
    best = max(score for score, _ in scored)
    near = [known for score, known in scored if score > best - 0.75]
    chosen, doubt = _counted(tool, slot, talk, heard) or _choose(near)
    several = len(near) > 1 and bool(PLURALS.intersection(heard))
    if several and sum(other.required for other in tool.slots) == 1:
        chosen, *rest = sorted(near, key=lambda known: known.born)
        doubt = 0.75
        bound.others.extend(
            _recalled(bound.copy(), slot, other, talk, 0.75) for other in rest[: MAX_VARIANTS - 1]
        )
    if bound.args and not bound.explicit:
        doubt *= 0.6  # a second argument that nobody named
    return bool(_recalled(bound, slot, chosen, talk, doubt).args.get(slot.name) is not None)


def _recalled(bound: Bound, slot: Slot, known: Known, talk: Conversation, doubt: float) -> Bound:
    kind = min(known.kinds, default=known.kind)
    data = known.data if slot.type != "string" and not isinstance(known.data, str) else known.text
    bound.args[slot.name] = as_json(slot, str(data), kind, talk)
    bound.doubt *= doubt * (0.95 if known.this_turn or known.last_user else 0.85)
    bound.tainted = bound.tainted or not known.said
    return bound


def _counted(
    tool: ToolWords, slot: Slot, talk: Conversation, heard: Collection[str]
) -> tuple[Known, float] | None:
    """The third reservation: by its place in the list of those that could ever have been meant."""
    place = next((ORDINALS[word] for word in heard if word in ORDINALS), None)
    if place is None or not slot.is_id:
        return None
    used = (tool.spec.name, slot.name.lower())
    listed = [
        known
        for score, known in _scored(tool, slot, talk)
        if not {slot.name.lower()} >= known.keys
        and score + (USED if used in known.used_by else 0.0) >= REMEMBERED
    ]
    if len(listed) <= max(1, place):
        return None
    return sorted(listed, key=lambda known: known.born)[place], 0.85


def _choose(near: Sequence[Known]) -> tuple[Known, float]:
    """One of several that suit equally: of talk the most recent, of a result's list the first."""
    if len(near) == 1:
        return near[0], 1.0
    if this_turn := [known for known in near if known.this_turn]:
        return max(this_turn, key=lambda known: known.order), 0.85 if len(this_turn) == 1 else 0.7
    if asked := [known for known in near if known.last_user]:
        return min(asked, key=lambda known: known.order), 0.85 if len(asked) == 1 else 0.7
    newest = max(known.message for known in near)
    last = [known for known in near if known.message == newest]
    if len(last) == 1:
        return last[0], 0.8
    return min(last, key=lambda known: known.order), 0.5


def remembered_values(
    tool: ToolWords, slot: Slot, talk: Conversation, least: float = REMEMBERED
) -> list[tuple[float, Known]]:
    """The values of the conversation with at least `least` points (from 0.5 on) for the parameter."""
    if slot.many or slot.is_query or slot.type not in {"string", "integer", "number"}:
        return []
    return [one for one in _scored(tool, slot, talk) if one[0] >= least]


def _scored(tool: ToolWords, slot: Slot, talk: Conversation) -> list[tuple[float, Known]]:
    """All values that may come into question, with their points."""
    return talk.scored(slot, REMEMBERED - USED, lambda known: _memory_score(tool, slot, known, talk))


def _memory_score(tool: ToolWords, slot: Slot, known: Known, talk: Conversation) -> float:
    kinds = known.kinds or (known.kind,)
    if slot.takes.isdisjoint(kinds) or all(looks(slot, known.text, kind, talk) is None for kind in kinds):
        return -9.0
    exact = slot.name.lower() in known.keys
    shaped = bool(slot.shapes) and known.outline in slot.shapes
    if slot.shapes and not shaped and not exact and ValueKind.NAME not in kinds:
        return -9.0
    score = 2.5 if exact else keyed(slot, known) if known.keys else 0.0
    score += (0.75 if shaped else 0.0) + _cues(slot, known) + _place(slot, known)
    score += 1.0 if known.this_turn else 0.6 if known.last_user else 0.0
    if (tool.spec.name, slot.name.lower()) in known.used_by:
        # A value that this very parameter had before: the next call of the tool is about another one.
        return score - USED
    return score + (0.75 if slot.name.lower() in known.used_as else 0.0)


def _cues(slot: Slot, known: Known) -> float:
    if slot.words & known.cues:
        return 1.0
    if slot.rivals & known.cues:
        return -2.0
    # It looks right and nothing else is known about it.
    return 1.25 if slot.shapes and slot.is_id and not known.keys else 0.0


def _place(slot: Slot, known: Known) -> float:
    if slot.role in {"from", "to"}:
        return 2.0 if known.roles == {slot.role} else -2.0 if {"from", "to"} & known.roles else -1.0
    if slot.is_date:
        return 2.0 if known.said else -1.0
    if not slot.is_name:
        return 0.0
    if slot.role in known.roles:
        return 1.0
    # Whom the user has just named in full.
    return 1.5 if known.last_user and " " in known.text and ValueKind.NAME in known.kinds else 0.0
