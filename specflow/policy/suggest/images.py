"""Undos that write back what was there before the call: `compensate.before`."""

# ruff: noqa: SIM905 - tables of words read best as words

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from specflow.policy.lint.shape import fits, resolve, types_of
from specflow.policy.suggest import lexicon, shapes
from specflow.policy.suggest.docstring import Section, sections
from specflow.policy.suggest.evidence import Trap
from specflow.policy.suggest.names import act
from specflow.policy.suggest.parameters import FLAGS
from specflow.policy.suggest.readers import Reading, readings
from specflow.policy.suggest.subject import Subject
from specflow.policy.suggest.things import is_identifier, same_things, things_of
from specflow.policy.suggest.undo import NAME, Compensator, Search, dotted
from specflow.policy.suggest.words import Form, split_name, verb

OVERWRITES = frozenset(
    """
    set update modify edit alter change rename configure overwrite write save put patch replace
    """.split()
)
"""Acts that put a new value in the place of an old one."""
EDITS = frozenset("edit modify update patch append prepend insert replace truncate alter change".split())
WRITES_WHOLE = frozenset("write put save overwrite set".split())
REMOVES = frozenset("remove delete".split())

_MONEY = frozenset(
    """
    payment payments amount price cost fare fee charge refund balance card credit debit currency money
    invoice salary
    """.split()
)
_DELTAS = frozenset(
    "patch diff delta edit edits change changes update updates by offset operations ops".split()
)
_RELATIVE = frozenset("increment increase decrease decrement append prepend relative delta".split())
_UNMISTAKABLE = lexicon.IRREVERSIBLE & lexicon.WRITE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    target: Subject
    reading: Reading
    arguments: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def rank(self) -> tuple[bool, bool]:
        return (not self.reading.exact, bool(self.reading.notes))


def find(subject: Subject, others: Sequence[Subject], reads: frozenset[str]) -> Search:
    """The one way to write back what was there, or why there is none; empty where nothing is replaced."""
    act_of, nouns = act(subject.name)
    if act_of not in OVERWRITES | EDITS | REMOVES:
        return Search()
    if why := _more_than_its_value(subject):
        return Search(why_not=why, trap=Trap.CASCADE)
    made: list[_Made] = []
    refused = ""
    for reading in readings(subject, others, reads):
        for target in _targets(subject, act_of, nouns, others, reads):
            arguments, notes, lacking = _arguments(subject, target, reading)
            if lacking:
                refused = refused or f"{reading.reader.name} does not say what {lacking!r} was"
            else:
                made.append(_Made(target=target, reading=reading, arguments=arguments, notes=notes))
    made.sort(key=lambda item: item.rank)
    if len(made) > 1 and made[0].rank == made[1].rank:
        several = ", ".join(f"{item.reading.reader.name} with {item.target.name}" for item in made)
        return Search(
            why_not=f"more than one read could give the value from before: {several}", trap=Trap.OLD_VALUE
        )
    if not made:
        return Search(
            why_not=refused and f"undoing it needs the value from before, and {refused}", trap=Trap.OLD_VALUE
        )
    # A setting of the whole system, which no identifier tells from others.
    if not made[0].reading.given and (why := _coupled(subject, others)):
        return Search(why_not=why, trap=Trap.CASCADE)
    return Search(compensator=_compensator(act_of, made[0]))


def _compensator(act_of: str, made: _Made) -> Compensator:
    reader, target = made.reading.reader.name, made.target.name
    traps = {Trap.NEW_THING} if act_of in REMOVES else set()
    return Compensator(
        tool=target,
        arguments=made.arguments,
        why=f"{reader} tells what was there before, and {target} writes it back",
        traps=tuple(sorted(traps)),
        before=made.reading.before,
        notes=(*made.reading.notes, *made.notes),
    )


def _more_than_its_value(subject: Subject) -> str:
    """Why writing the old value back would not take back all that the call did."""
    _, nouns = act(subject.name)
    named = {word for name in subject.properties for word in split_name(name)} | set(nouns)
    if money := sorted(named & _MONEY):
        return f"{money[0]!r} speaks of money, which writing a value back does not move back"
    if relative := sorted(_stems(subject.description) & _RELATIVE):
        return f"it says {relative[0]!r}: writing the old value would not bring it back"
    if told := _tells_others(subject.description):
        return f"it says {told!r}: others have seen it before it could be undone"
    return ""


def _coupled(subject: Subject, others: Sequence[Subject]) -> str:
    """Why another setting may change with this one: the tool that sets it speaks of what this one sets."""
    _, nouns = act(subject.name)
    setting = " ".join(word for word in nouns if word not in lexicon.STATE_NOUNS)
    for other in others:
        making, made = act(other.name)
        # A message may be impossible to send while it is so, but nothing of the message changes with it.
        if making not in OVERWRITES or made == nouns:
            continue
        if setting and f" {setting} " in f" {' '.join(_words(other.description[:20_000]))} ":
            return f"{other.name} speaks of the {setting} too: the one may change with the other"
    return ""


def _tells_others(description: str) -> str:
    for section, part in sections(description[:20_000].lower()):
        for word in _words(part) if section is Section.ACTS else ():
            known = verb(word)
            if known is not None and known.base in _UNMISTAKABLE and known.form is not Form.ED:
                return word
    return ""


def _stems(text: str) -> set[str]:
    found = _words(text[:20_000].lower())
    return {known.base if (known := verb(word)) else word for word in found}


def _words(text: str) -> list[str]:
    """Every word of a text, however long it is."""
    return [word for piece in text.split() for word in split_name(piece)]


def _targets(
    subject: Subject, act_of: str, nouns: tuple[str, ...], others: Sequence[Subject], reads: frozenset[str]
) -> Iterator[Subject]:
    """The tools that could put the old value in its place."""
    if act_of in OVERWRITES:
        yield subject
    for other in sorted(others, key=lambda item: item.name):
        making, made = act(other.name)
        if other.name == subject.name or other.name in reads:
            continue
        if act_of in EDITS and making in WRITES_WHOLE and things_of(made) == things_of(nouns):
            yield other
        if (
            act_of in REMOVES
            and act_of in lexicon.CREATORS.get(making, ())
            and same_things(act_of, nouns, made)
        ):
            yield other


def _arguments(
    subject: Subject, target: Subject, reading: Reading
) -> tuple[dict[str, str], tuple[str, ...], str]:
    """CEL for each parameter of `target`, notes, and the name of the first parameter that nothing gives.

    What is optional is written back too: a call may have changed it.
    """
    made: dict[str, str] = {}
    unsure: list[str] = []
    named = {tuple(split_name(key)): key for key in reading.given.values()}
    values = [name for name in target.properties if tuple(split_name(name)) not in named
              and (name in target.required or "_".join(split_name(name)) not in FLAGS)]  # fmt: skip
    for name in target.properties:
        key = named.get(tuple(split_name(name)))
        source = dotted("args", key) if key else ""
        if name in values:
            source, sure = _value(name, subject, target, reading, alone=len(values) == 1)
            unsure += [] if sure else [source]
        if not source and (name in values or key):
            return {}, (), name
        if not NAME.fullmatch(name):
            return {}, (), name
        if source:
            made[name] = source
    if not values:
        return {}, (), next(iter(target.properties), target.name)
    note = f"uncertain: where {', '.join(unsure)} is missing or null, the undo fails"
    return made, (note,) if unsure else (), ""


def _value(
    name: str, subject: Subject, target: Subject, reading: Reading, *, alone: bool
) -> tuple[str, bool]:
    """CEL for the old value of the parameter, or "", and whether it is sure to be there."""
    wanted = target.properties[name]
    words = split_name(name)
    if is_identifier(name) or set(words) & _DELTAS:
        # Another thing's name restores nothing, and a whole is not the difference that led to it.
        return "", False
    if kind := shapes.scalar(reading.schema):
        taken = types_of(wanted, resolve(wanted, wanted))
        whole = act(target.name)[0] in WRITES_WHOLE | {"update", "change"}
        only = alone and whole and reading.exact and taken is not None and fits(frozenset({kind}), taken)
        return reading.root if only else "", True
    # Every thing has contents: those of another are not meant.
    if name in lexicon.PAYLOADS and not reading.exact:
        return "", False
    field = "_".join(words[1:]) if words[:1] == ["new"] and len(words) > 1 else name
    place = shapes.chosen(reading.schema, field, wanted, things_of(act(subject.name)[1]))
    if place is None:
        return "", False
    return place.below(reading.root), place.sure or shapes.nullable(wanted)
