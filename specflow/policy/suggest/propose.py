"""From evidence to one proposal for each tool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from specflow.effects.kind import EffectClass
from specflow.policy.suggest import (
    code,
    compensators,
    conversions,
    names,
    parameters,
    prose,
    protocol,
    siblings,
    statements,
)
from specflow.policy.suggest.evidence import Artefact, Evidence, Says, Trap
from specflow.policy.suggest.subject import Subject
from specflow.policy.suggest.undo import Compensator, Search
from specflow.policy.suggest.words import split_name

_WORDS = frozenset({Artefact.NAME, Artefact.PROSE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """`why` says in one line how the evidence led to `effect`; `signals` are the independent reads."""

    subject: Subject
    effect: EffectClass
    why: str
    evidence: tuple[Evidence, ...] = ()
    signals: frozenset[Artefact] = frozenset()
    compensator: Compensator | None = None
    traps: tuple[Trap, ...] = ()


def propose(subjects: Sequence[Subject]) -> tuple[Proposal, ...]:
    """One proposal for each name, in the order of the names.

    A name that two tools share gets confirmation_required: which of them runs is not known here.
    """
    counts = Counter(subject.name for subject in subjects)
    unique = {subject.name: subject for subject in subjects}
    mates = [unique[name] for name in sorted(unique) if counts[name] == 1]
    seen = {mate.name: _look(mate, mates) for mate in mates}
    reads = frozenset(name for name, look in seen.items() if look.reads)
    found = []
    for name in sorted(unique):
        if counts[name] > 1:
            why = f"{counts[name]} tools are called this: nobody can say which one an entry would class"
            found.append(_asking(unique[name], why))
        else:
            found.append(_of(unique[name], seen[name], mates, reads))
    return tuple(found)


def evidence_of(subject: Subject) -> tuple[Evidence, ...]:
    """Everything that every artefact says, without repetition."""
    found = [
        *names.evidence(subject.name),
        *conversions.evidence(subject.name, subject.properties),
        *prose.evidence(subject.description),
        *_statements(subject.description),
        *parameters.evidence(subject.properties, subject.description),
    ]
    if subject.hints is not None:
        found.extend(protocol.of_hints(subject.hints, trusted=subject.trusted))
    if subject.operation is not None:
        found.extend(protocol.of_operation(subject.operation))
    if subject.code is not None:
        found.extend(code.evidence(subject.code))
    if subject.annotation is not None:
        says = Says.WRITE if subject.annotation.effect.writes else Says.READ
        text = f"it is marked @{subject.annotation.effect.value} in its source"
        found.append(Evidence(artefact=Artefact.ANNOTATION, says=says, text=text))
    return tuple(dict.fromkeys(found))


def independent_reads(subject: Subject, found: Sequence[Evidence]) -> frozenset[Artefact]:
    """The artefacts that say "read" and could not all be wrong for one and the same reason.

    Name and description count as two, since each is judged by other words and other rules, unless the
    description only repeats the name. All that a party without trust says counts as one.
    """
    reads = {item.artefact for item in found if item.says is Says.READ}
    if reads >= _WORDS and prose.adds_nothing(subject.description, split_name(subject.name)):
        reads.discard(Artefact.PROSE)
    if not subject.trusted:
        claims = reads - {Artefact.CODE, Artefact.ANNOTATION}
        reads -= set(sorted(claims)[1:])
    return frozenset(reads)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    evidence: tuple[Evidence, ...]
    signals: frozenset[Artefact]

    @property
    def reads(self) -> bool:
        # INVARIANT: one veto is enough, whatever else is said and how often.
        return not any(item.vetoes for item in self.evidence) and len(self.signals) >= 2


def _look(subject: Subject, mates: Sequence[Subject]) -> _Look:
    found = (*evidence_of(subject), *siblings.evidence(subject, mates))
    return _Look(evidence=found, signals=independent_reads(subject, found))


def _of(subject: Subject, look: _Look, mates: Sequence[Subject], reads: frozenset[str]) -> Proposal:
    found, signals = look.evidence, look.signals
    traps = {item.trap for item in found if item.trap is not None}
    writes = any(item.says is Says.WRITE for item in found)
    search = compensators.find(subject, mates, reads) if writes else Search()
    if any(item.vetoes for item in found):
        effect, why = _not_a_read(writes=writes, search=search)
    elif look.reads:
        effect, why = EffectClass.READ_ONLY, f"{_listed(signals)} agree, and nothing speaks against it"
    else:
        effect, why = EffectClass.CONFIRMATION_REQUIRED, _too_little(subject, found, signals)
    if search.compensator is not None:
        traps.update(search.compensator.traps)
    if search.trap is not None:
        traps.add(search.trap)
    return Proposal(
        subject=subject, effect=effect, why=why, evidence=found, signals=signals,
        compensator=search.compensator, traps=tuple(sorted(traps)),
    )  # fmt: skip


def _not_a_read(*, writes: bool, search: Search) -> tuple[EffectClass, str]:
    if search.compensator is not None and Trap.COARSE in search.compensator.traps:
        # An early call that turns out wrong must not cost what was there before it.
        why = f"{search.compensator.tool} takes it back, and more than it alone: that needs a person"
        return EffectClass.CONFIRMATION_REQUIRED, why
    if search.compensator is not None:
        return EffectClass.COMPENSATABLE, search.compensator.why
    if writes:
        why = f"it writes, and {search.why_not or 'no tool here takes it back'}"
        return EffectClass.CONFIRMATION_REQUIRED, why
    return EffectClass.CONFIRMATION_REQUIRED, "whether it writes cannot be known without the call"


def _too_little(subject: Subject, found: Sequence[Evidence], signals: frozenset[Artefact]) -> str:
    claims = {item.artefact for item in found if item.says is Says.READ}
    if not claims:
        return "nothing says what it does"
    if not subject.trusted:
        return "it looks like a read, but only by the word of a server that is not trusted: see --trust"
    if len(claims) > len(signals):
        return "its description only repeats its name: one witness is not enough"
    return f"only the {_listed(signals)} says that it reads: one witness is not enough"


def _asking(subject: Subject, why: str) -> Proposal:
    return Proposal(subject=subject, effect=EffectClass.CONFIRMATION_REQUIRED, why=why)


def _statements(description: str) -> list[Evidence]:
    """What SQL written out in a description does: part of the description, and no further witness."""
    found = []
    for statement in statements.quoted_in(description[: prose.MAX_TEXT]):
        if statements.effect_of(statement) is statements.Does.WRITES:
            text = f"it quotes the statement {' '.join(statement.split())[:60]!r}"
            found.append(Evidence(artefact=Artefact.PROSE, says=Says.WRITE, text=text))
    return found


def _listed(signals: frozenset[Artefact]) -> str:
    return " and ".join(sorted(signals))
