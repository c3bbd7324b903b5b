"""Undos that only descriptions give away: `stage` and `unstage` under names that do not say so."""

from __future__ import annotations

from specflow.policy.suggest.docstring import Section, sections
from specflow.policy.suggest.evidence import Trap
from specflow.policy.suggest.names import act
from specflow.policy.suggest.subject import Subject
from specflow.policy.suggest.things import things_of
from specflow.policy.suggest.words import split_name

_EVERYTHING = frozenset({"all", "every", "everything", "entire", "any"})
_ENDINGS = ("ing", "es", "ed", "s", "e")
_SHORTEST = 4


def unmakes(subject: Subject, other: Subject) -> bool:
    """Whether `other` says that it un-does what `subject` says that it does, to a thing both are named for.

    "Unstages all staged changes" beside "Adds file contents to the staging area".
    """
    undone = _stem(next(iter(_words(other)), ""))
    stem = undone.removeprefix("un")
    if not undone.startswith("un") or len(stem) < _SHORTEST:
        return False
    mine = {_stem(word) for word in _words(subject)}
    shared = things_of(act(subject.name)[1]) & things_of(act(other.name)[1])
    return stem in mine and undone not in mine and bool(shared)


def traps(subject: Subject, other: Subject) -> tuple[Trap, ...]:
    """COARSE when `other` is not told all that `subject` was, or says that it takes back everything."""
    told = subject.required <= set(other.properties)
    sweeping = bool(_EVERYTHING & set(_words(other)))
    return (Trap.COARSE,) if sweeping or not told else (Trap.ALREADY_SO,)


def _words(subject: Subject) -> list[str]:
    return [
        word
        for section, part in sections(subject.description[:20_000].lower())
        if section is Section.ACTS
        for piece in part.split()
        for word in split_name(piece)
    ]


def _stem(word: str) -> str:
    ending = next((item for item in _ENDINGS if word.endswith(item)), "")
    return word.removesuffix(ending)
