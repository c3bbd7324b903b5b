"""Tools that move a thing, and move it back when source and destination change places."""

from __future__ import annotations

import re

from specflow.policy.suggest.evidence import Trap
from specflow.policy.suggest.names import act
from specflow.policy.suggest.subject import Subject
from specflow.policy.suggest.things import is_identifier
from specflow.policy.suggest.undo import Compensator, dotted
from specflow.policy.suggest.words import split_name

MOVES = frozenset({"move", "rename", "mv"})
_ENDS = (
    ("source", "destination"), ("src", "dst"), ("src", "dest"), ("source", "dest"), ("source", "target"),
    ("from", "to"), ("old", "new"), ("current", "new"),
)  # fmt: skip
_REFUSES = re.compile(
    r"\b(destination|target|it)\b[^.]*\bexists?\b[^.]*\b(fails?|error|refused?|raises?)\b", re.I
)


def back(subject: Subject) -> Compensator | None:
    """The tool itself with its two places swapped; None unless both are required, and no more."""
    verb, _ = act(subject.name)
    ends = _ends(subject) if verb in MOVES else None
    if ends is None or not all(map(is_identifier, subject.required - set(ends))):
        return None
    made = {name: dotted("args", name) for name in subject.required}
    source, destination = ends
    made[source], made[destination] = made[destination], made[source]
    if not all(made.values()):
        return None
    safe = bool(_REFUSES.search(subject.description[:20_000]))
    note = "it says that it fails when the destination exists" if safe else (
        "uncertain: what stood at the destination may have been overwritten")  # fmt: skip
    return Compensator(
        tool=subject.name, arguments=made, traps=() if safe else (Trap.ALREADY_SO,), notes=(note,),
        why=f"{subject.name} moves it back when {source} and {destination} change places",
    )  # fmt: skip


def _ends(subject: Subject) -> tuple[str, str] | None:
    """The names of the two places, alike but for the word that says which is which."""
    found = []
    for one in subject.required:
        for other in subject.required:
            first, second = split_name(one), split_name(other)
            if len(first) == len(second):
                changed = [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]]
                if len(changed) == 1 and changed[0] in _ENDS:
                    found.append((one, other))
    return found[0] if len(found) == 1 else None
