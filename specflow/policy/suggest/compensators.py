"""Which tool takes back what another did, and from where that tool's arguments come."""

# ruff: noqa: SIM905 - tables of words read best as words

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from specflow.policy.suggest import images, lexicon, moves, unmaking
from specflow.policy.suggest.docstring import result_text
from specflow.policy.suggest.evidence import Trap
from specflow.policy.suggest.names import act
from specflow.policy.suggest.subject import Subject, properties_of
from specflow.policy.suggest.things import IDS, is_id_of, same_things, singular
from specflow.policy.suggest.undo import NAME, Compensator, Search, dotted
from specflow.policy.suggest.words import split_name

_NAMES_ID = frozenset({"id", "identifier", "uuid", "key", "number", "reference"})
_CONTAINERS = frozenset(
    """
    dict dictionary object list array tuple json mapping map set fields record model ids identifiers
    """.split()
)
_RETURNS = re.compile(r"\b(returns?|result|response|output|yields?)\b", re.I)
_OLD_VALUE = frozenset(
    """
    set update modify edit alter change rename move replace adjust configure overwrite mv patch reset
    put upsert
    """.split()
)


def find(subject: Subject, others: Sequence[Subject], reads: frozenset[str] = frozenset()) -> Search:
    """The one tool that undoes `subject` and whose every required argument will be known.

    `reads` are the names of those that may be called before it, to learn what it is about to overwrite.
    """
    verb, nouns = act(subject.name)
    barred = _barred(subject, verb)
    if barred is not None:
        return barred
    image = _written_back(subject, others, reads)
    # An opposite that needs no value from before is the simpler way to bring back what was removed.
    if image.compensator is not None and verb not in images.REMOVES:
        return image
    opposite = _by_opposite(subject, verb, nouns, others)
    if opposite.compensator is not None:
        return opposite
    if image.compensator is not None or (image.why_not and not opposite.why_not):
        return image
    if not opposite.why_not and verb in _OLD_VALUE:
        return Search(why_not="undoing it needs the value from before", trap=Trap.OLD_VALUE)
    return opposite


def _barred(subject: Subject, verb: str) -> Search | None:
    """Why nothing can take it back, whatever other tools there are."""
    if subject.annotation is not None and subject.annotation.undo:
        return None  # its author has already said that it can be undone
    if verb in lexicon.IRREVERSIBLE and verb not in lexicon.CREATORS:
        why = f"{verb!r} is seen by others before it could be undone"
        return Search(why_not=why, trap=Trap.SEEN_BY_OTHERS)
    if verb in lexicon.TOGGLES:
        why = "calling it again undoes it only if nobody called it in between"
        return Search(why_not=why, trap=Trap.TOGGLE)
    return None


def _by_opposite(subject: Subject, verb: str, nouns: tuple[str, ...], others: Sequence[Subject]) -> Search:
    refused = ""
    usable: list[Compensator] = []
    for other, switch, also in _opposites(subject, verb, nouns, others):
        arguments, missing = _mapping(subject, other, switch=switch)
        if missing:
            refused = refused or f"{other.name} {missing}"
        else:
            # What is named by the arguments alone may have been there before; what the result names is new.
            named = any(source.startswith("result") for source in arguments.values())
            traps = also or (() if named else (Trap.ALREADY_SO,))
            why = f"{subject.name} and {other.name} are opposites, and every required argument is known"
            usable.append(Compensator(tool=other.name, arguments=arguments, why=why, traps=traps))
    if len(usable) == 1:
        return Search(compensator=usable[0])
    if usable:
        return Search(why_not=f"more than one tool could undo it: {', '.join(item.tool for item in usable)}")
    return Search(why_not=refused)


def _written_back(subject: Subject, others: Sequence[Subject], reads: frozenset[str]) -> Search:
    declared = subject.annotation.undo if subject.annotation is not None else ""
    if declared:
        return Search()
    moved = moves.back(subject)
    return Search(compensator=moved) if moved is not None else images.find(subject, others, reads)


def _opposites(
    subject: Subject, verb: str, nouns: tuple[str, ...], others: Iterable[Subject]
) -> Iterator[tuple[Subject, bool, tuple[Trap, ...]]]:
    """Tools that do the opposite to the same things; the flag says that the pair is a switch."""
    declared = subject.annotation.undo if subject.annotation is not None else ""
    for other in sorted(others, key=lambda item: item.name):
        if other.name == subject.name or (declared and other.name != declared):
            continue
        if declared:
            yield other, False, ()
            continue
        undoing, things = act(other.name)
        if _flipped(subject.name, other.name):
            yield other, True, ()
        elif same_things(verb, nouns, things):
            switched = (verb, undoing) in lexicon.SWITCHES
            back = (undoing, verb) in lexicon.SWITCHES and _loses_nothing(subject, other)
            if undoing in lexicon.CREATORS.get(verb, ()):
                yield other, False, ()
            elif switched or back:
                yield other, True, ()
            elif undoing not in lexicon.READ and unmaking.unmakes(subject, other):
                yield other, True, unmaking.traps(subject, other)


def _flipped(one: str, other: str) -> bool:
    """`turn_on_light` and `turn_off_light`."""
    first, second = split_name(one), split_name(other)
    changed = [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]]
    return len(first) == len(second) and changed in ([("on", "off")], [("off", "on")])


def _loses_nothing(subject: Subject, other: Subject) -> bool:
    # Adding back what was removed restores it only if removing it needed all that it consisted of.
    return set(other.properties) <= set(subject.required)


def _mapping(subject: Subject, other: Subject, *, switch: bool) -> tuple[dict[str, str], str]:
    """CEL for each required parameter of `other`, or why there is none."""
    needed = sorted(other.required)
    if not needed:
        # `remove_last()` undoes whatever came last, which need not be this call.
        unbound = not switch or subject.required
        return {}, "requires no argument that would say what to undo" if unbound else ""
    made: dict[str, str] = {}
    for name in needed:
        source = _source(name, subject, other, switch=switch)
        if not source or not NAME.fullmatch(name):
            return {}, f"needs {name!r}, which no argument or result is known to give"
        made[name] = source
    return made, ""


def _source(name: str, subject: Subject, other: Subject, *, switch: bool) -> str:
    """Where the value of `name` comes from; "" when nothing says so, or two things do."""
    wanted = other.properties.get(name, {})
    given = {key: part for key, part in subject.properties.items() if key in subject.required}
    returned = {} if subject.opaque_result else properties_of(subject.result)
    words = split_name(name)
    # A new thing's id is not the `id` that its maker was given: that one names something else.
    anothers = not switch and words == ["id"]
    from_args = [
        key for key in given if split_name(key) == words and _fits(given[key], wanted) and not anothers
    ]
    from_result = [key for key in returned if split_name(key) == words and _fits(returned[key], wanted)]
    identifier = bool(words) and words[-1] in IDS
    if not from_result and identifier and not from_args and not switch:
        # `delete_booking(booking_id)` after `create_booking` -> {"id": ...}, and the other way about.
        things = frozenset(singular(word) for side in (subject, other) for word in act(side.name)[1])
        if len(words) == 1:
            from_result = [key for key in returned if is_id_of(key, things) and _fits(returned[key], wanted)]
        elif singular("".join(words[:-1])) in things:
            from_result = [
                key for key in returned if key.lower() == words[-1] and _fits(returned[key], wanted)
            ]
    if not (from_args or from_result or returned or subject.opaque_result) and identifier:
        if _documents(name, subject):
            return dotted("result", name)
        if not switch and _is_result(words, subject):
            return "result"
    found = [dotted("args", key) for key in from_args] or [dotted("result", key) for key in from_result]
    return found[0] if len(found) == 1 else ""


def _documents(name: str, subject: Subject) -> bool:
    """Whether the description says, in words, that the result holds a field of exactly this name."""
    told = subject.description[:20_000]
    return any(
        _RETURNS.search(told[max(0, found.start() - 200) : found.start()])
        for found in re.finditer(rf"(?<![\w.]){re.escape(name)}(?!\w)", told)
    )


def _is_result(words: list[str], subject: Subject) -> bool:
    """Whether the description says that the result itself, nothing around it, is this identifier."""
    told = set(split_name(result_text(subject.description[:20_000])[:400]))
    about = told | {singular(word) for word in act(subject.name)[1]}
    return bool(told & _NAMES_ID) and not told & _CONTAINERS and set(words[:-1]) <= about


def _fits(have: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    mine, theirs = have.get("type"), wanted.get("type")
    return not (isinstance(mine, str) and isinstance(theirs, str)) or mine == theirs
