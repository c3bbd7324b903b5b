"""What a tool is about: the things in its name, and whether two names speak of the same."""

from __future__ import annotations

from functools import lru_cache

from specflow.policy.suggest.words import split_name

SMALL = frozenset({"a", "an", "the", "to", "from", "in", "on", "of", "for", "at", "by", "with", "my", "as"})
IDS = frozenset({"id", "ids", "key", "number", "no", "uuid", "ref", "reference", "code", "handle"})


def singular(word: str) -> str:
    """`bookings` -> `booking`, `policies` -> `policy`; anything else unchanged."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


@lru_cache(maxsize=20_000)
def things_of(nouns: tuple[str, ...]) -> frozenset[str]:
    """The nouns of a name in the singular, without `to`, `of` and their like."""
    return frozenset(singular(noun) for noun in nouns) - SMALL


def same_things(verb: str, nouns: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether a tool named by `others` is about what `verb` does to `nouns`."""
    mine, theirs = things_of(nouns), things_of(others)
    # `cancel_booking` undoes `book_flight`: the booking is what booking makes.
    theirs = frozenset(
        noun for noun in theirs if not (len(verb) >= 4 and noun.startswith(verb.removesuffix("e")))
    )
    if not theirs:
        return not mine or bool(others)
    return theirs <= mine or (bool(mine) and mine <= theirs)


def is_identifier(name: str) -> bool:
    """Whether a parameter's name says that it names a thing: `booking_id`, `orderNumber`."""
    return split_name(name)[-1:] != [] and split_name(name)[-1] in IDS


def is_id_of(key: str, things: frozenset[str]) -> bool:
    """Whether `key` is the identifier of one of `things`, its name in it: `booking_id`."""
    words = split_name(key)
    return len(words) > 1 and words[-1] in IDS and singular("".join(words[:-1])) in things
