"""What a tool's name says."""

from __future__ import annotations

from functools import lru_cache

from specflow.policy.suggest import lexicon
from specflow.policy.suggest.evidence import Artefact, Evidence, Says, Trap
from specflow.policy.suggest.words import Form, Verb, split_name, verb

_JOINTS = frozenset({"and", "or", "then"})
_NOISE = frozenset({"api", "mcp", "tool", "tools", "async", "v", "do", "try", "my"})


def evidence(name: str) -> list[Evidence]:
    """At most one statement, and the traps that the name alone gives away."""
    words = split_name(name)
    while len(words) > 1 and (words[0] in _NOISE or words[0].isdigit()):
        words = words[1:]
    found = [*_traps(words)]
    writing = _write(words)
    if writing:
        found.append(_said(Says.WRITE, f"the name says {writing!r}"))
    elif reading := _read(words):
        found.append(_said(Says.READ, f"the name says {reading!r}"))
    return found


@lru_cache(maxsize=20_000)
def act(name: str) -> tuple[str, tuple[str, ...]]:
    """The verb of a name in base form and the other words, in order; ("", words) when there is none.

    `booking_cancel` and `cancelBooking` give the same.
    """
    words = split_name(name)
    verbs = [(index, known.base) for index in _places(words) if (known := verb(words[index])) is not None
             and known.form is Form.BASE]  # fmt: skip
    # In `order_cancel` the order is a thing: what is surely a verb goes before what may be one.
    verbs.sort(key=lambda item: item[1] in lexicon.NOUN_OR_VERB)
    index, base = verbs[0] if verbs else (-1, "")
    return base, tuple(
        word for at, word in enumerate(words) if at != index and (word not in _NOISE or not base)
    )


def _places(words: list[str]) -> list[int]:
    """Where the verb of a name may stand: first, else last."""
    return [0, len(words) - 1] if len(words) > 1 else list(range(len(words)))


def _write(words: list[str]) -> str:
    for index, word in enumerate(words):
        pair = (word, words[index + 1]) if index + 1 < len(words) else None
        if pair in lexicon.PHRASES:
            return " ".join(pair)
        known = verb(word)
        if known is None:
            continue
        acts = index == 0 or words[index - 1] in _JOINTS
        if known.base in lexicon.WRITE and _is_act(known, acts=acts):
            return word
        # `order_status` loses by this; `update_status` must not win.
        if known.base in lexicon.NOUN_OR_VERB and acts and known.form is Form.BASE:
            return word
    return ""


def _is_act(known: Verb, *, acts: bool) -> bool:
    # `get_deleted_items` deletes nothing; `deletes_items` and `deleting` do.
    return known.form is Form.BASE or (acts and known.form is not Form.ED)


def _read(words: list[str]) -> str:
    for index in _places(words):
        known = verb(words[index])
        if known is not None and known.base in lexicon.READ and known.form is Form.BASE:
            return words[index]
    return ""


def _traps(words: list[str]) -> list[Evidence]:
    found = []
    for table, trap, why in (
        (lexicon.CURSORS, Trap.CURSOR, "it may move on with every call"),
        (
            lexicon.RANDOM,
            Trap.RANDOM_STATE,
            "every call may answer differently, and draw from a shared state",
        ),
        (lexicon.CACHES, Trap.HIDDEN_CACHE, "it may fill or refresh a cache that others read"),
    ):
        hit = next((word for word in words if word in table), "")
        if hit:
            found.append(_said(Says.UNSURE, f"the name says {hit!r}: {why}", trap))
    return found


def _said(says: Says, text: str, trap: Trap | None = None) -> Evidence:
    return Evidence(artefact=Artefact.NAME, says=says, text=text, trap=trap)
