"""From names and sentences to base forms the lexicon knows."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from specflow.policy.suggest import lexicon

VERBS = lexicon.READ | lexicon.WEAK_READ | lexicon.WRITE | lexicon.NOUN_OR_VERB

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[a-z]+|[0-9]+|[^\W\d_]+")
_IRREGULAR = {
    "sent": "send", "sold": "sell", "paid": "pay", "made": "make", "withdrawn": "withdraw",
    "overwritten": "overwrite", "written": "write", "taken": "take", "undone": "undo", "chosen": "choose",
    "found": "find", "shown": "show", "gotten": "get",
}  # fmt: skip


class Form(StrEnum):
    """How a word is inflected."""

    BASE = "base"
    THIRD = "third"
    ING = "ing"
    ED = "ed"


class Verb(NamedTuple):
    """A word of the lexicon as it was met."""

    base: str
    form: Form


def split_name(name: str) -> list[str]:
    """The words of `get_userById.v2`, in lower case; at most 40 of them."""
    return list(_split(name[:400]))


@lru_cache(maxsize=20_000)
def _split(name: str) -> tuple[str, ...]:
    # Every tool's name is looked at beside every other's.
    return tuple(part.lower() for part in _PARTS.findall(name)[:40])


def verb(word: str) -> Verb | None:
    """The verb that `word` (lower case) is a form of, or None when the lexicon does not know it."""
    if word in VERBS:
        return Verb(word, Form.BASE)
    if base := _IRREGULAR.get(word, ""):
        return Verb(base, Form.ED)
    for ending, form in (("ies", Form.THIRD), ("es", Form.THIRD), ("s", Form.THIRD), ("ing", Form.ING),
                         ("ied", Form.ED), ("ed", Form.ED)):  # fmt: skip
        if word.endswith(ending) and (base := _stem(word[: -len(ending)], ending)):
            return Verb(base, form)
    return None


def _stem(stem: str, ending: str) -> str:
    if ending in {"ies", "ied"}:
        return stem + "y" if stem + "y" in VERBS else ""
    guesses = [stem]
    if ending in {"ing", "ed"}:
        guesses.append(stem + "e")
        if len(stem) > 2 and stem[-1] == stem[-2]:
            guesses.append(stem[:-1])
    return next((guess for guess in guesses if guess in VERBS), "")
