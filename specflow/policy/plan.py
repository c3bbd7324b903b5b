"""What can be said about a tool before its arguments are known: settings, undo, what forbids early runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import before, mapping
from specflow.policy.before import NOT_STORED
from specflow.policy.compiled import Ask, Compensate, Compiled, Entry, Plan
from specflow.policy.condition import Cel, needs_of
from specflow.policy.settings import Match, ToolSettings, Undo, Verify
from specflow.policy.undoing import Undoing

T = TypeVar("T")
N = TypeVar("N", int, float, str)


def plan(
    policy: Compiled,
    name: str,
    tool: ToolSpec | None,
    tools: ToolRegistry | None,
    *,
    registered: bool,
    reads_first: bool = True,
    keeps_secrets: bool = False,
) -> Plan:
    """The plan for the tool called `name`. `tools` None: other tools are not known and not checked.

    `reads_first` False: without a plan of what its undo has read first. `keeps_secrets`: what is redacted
    is stored, sealed, so that an undo may need it.
    """
    entries = policy.entries_for(name)
    annotation = tool.annotation if tool is not None and policy.defaults.trust_annotations else None
    key = pick(entries, lambda entry: entry.idempotency_key, _least)
    key = key if key is not None else annotation.idempotency_key if annotation else ""
    redact = _redact(policy, entries)
    patch = pick(entries, lambda entry: entry.patch, _first)
    written = pick(entries, lambda entry: entry.compensate, _first)
    if written is None and annotation is not None and annotation.undo:
        written = Compensate(tool=annotation.undo)
    ask = pick(entries, lambda entry: entry.verify, _first)
    if ask is None and annotation is not None and annotation.verify:
        ask = Ask(tool=annotation.verify)
    reading = _reading(policy, written, tools) if reads_first else None
    undoing = Undoing(policy=policy, name=name, tool=tool, tools=tools, key=key, reading=reading)
    undo, no_undo = undoing.undo(written)
    verify = undoing.verify(ask)
    settings = ToolSettings(
        timeout=pick(entries, lambda entry: entry.timeout, _least) or policy.defaults.timeout,
        retries=pick(entries, lambda entry: entry.retries, _least) or 0,
        backoff=pick(entries, lambda entry: entry.backoff, _most) or 0.2,
        match=pick(entries, lambda entry: entry.match, _exact) or Match(),
        reads=pick(entries, lambda entry: entry.reads, _union),
        writes=pick(entries, lambda entry: entry.writes, _union),
        ttl=pick(entries, lambda entry: entry.ttl, _least),
        # An early call that comes to nothing has cost the read before it, too.
        cost_usd=(pick(entries, lambda entry: entry.cost_usd, _most) or 0.0)
        + (reading.settings.cost_usd if reading is not None else 0.0),
        max_concurrent=pick(entries, lambda entry: entry.max_concurrent, _least),
        idempotency_key=key,
        undo=undo,
        verify=verify,
        redact=redact,
    )
    writes = _writes(entries, annotation.effect if annotation else None)
    return Plan(
        name=name,
        tool=tool,
        registered=registered,
        entries=entries,
        defaults=policy.defaults,
        policy_hash=policy.hash,
        annotation=annotation,
        floor=tool.annotation.effect if tool is not None and tool.annotation is not None else None,
        settings=settings,
        patch=patch,
        destinations=tuple(entry.destinations for entry in entries if entry.destinations is not None),
        predictors=_predictors(entries),
        requires=tuple(
            sorted((rule for entry in entries for rule in entry.requires), key=lambda r: (r.id, r.where))
        ),
        needs=needs_of(_conditions(entries)),
        no_undo=no_undo,
        redaction=""
        if keeps_secrets
        else _redaction(undo, verify, redact, writes=writes) or _secret(policy, undo, reading),
        before=reading,
    )


def pick(
    entries: Sequence[Entry], read: Callable[[Entry], T | None], strict: Callable[[list[T]], T]
) -> T | None:
    """What the most specific entry that says anything says; among equals, `strict` of what they say."""
    best = next((entry.specificity for entry in entries if read(entry) is not None), None)
    said = [value for entry in entries if entry.specificity == best and (value := read(entry)) is not None]
    return strict(said) if said else None


def _least(values: list[N]) -> N:
    return min(values)


def _most(values: list[N]) -> N:
    return max(values)


def _first(values: list[T]) -> T:
    # Files that say different things here do not load, patterns of equal rank are told apart by their text.
    return sorted(values, key=repr)[0]


def _exact(values: list[Match]) -> Match:
    found = sorted(values, key=repr)
    return next((match for match in found if match.mode == "exact"), found[0])


def _union(values: list[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({item for value in values for item in value}))


def _conditions(entries: Sequence[Entry]) -> Iterator[Cel | None]:
    for entry in entries:
        for allow in entry.allows:
            yield from (allow.when, allow.unless)
        for require in entry.requires:
            yield from (require.when, require.unless)


def _predictors(entries: Sequence[Entry]) -> frozenset[str] | None:
    said = [entry.predictors for entry in entries if entry.predictors is not None]
    return frozenset.intersection(*said) if said else None


def _writes(entries: Sequence[Entry], annotated: EffectClass | None) -> bool:
    kinds = [entry.effect for entry in entries if entry.effect is not None]
    if annotated is not None:
        kinds.append(annotated)
    return any(kind.writes for kind in kinds) or not kinds


def _redact(policy: Compiled, entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(sorted({*policy.defaults.redact, *(path for entry in entries for path in entry.redact)}))


def _reading(policy: Compiled, written: Compensate | None, tools: ToolRegistry | None) -> Plan | None:
    """The plan of the tool that the undo has read first. That one reads nothing first itself."""
    if written is None or written.before is None:
        return None
    name = written.before.tool
    target = tools.get(name) if tools is not None else None
    known = tools is None or target is not None
    return plan(policy, name, target, tools, registered=known, reads_first=False)


def _secret(policy: Compiled, undo: Undo | None, reading: Plan | None) -> str:
    """Why what was there before may not be stored, though the undo writes it back; or nothing."""
    if undo is None or undo.before is None or reading is None:
        return ""
    return before.secret(undo, reading.settings.redact, _redact(policy, policy.entries_for(undo.tool)))


def _redaction(undo: Undo | None, verify: Verify | None, redact: tuple[str, ...], *, writes: bool) -> str:
    """Why redacted fields keep the tool from running early: without a key they are not stored at all."""
    used: set[tuple[str, ...]] = set()
    for arguments in ([undo.arguments] if undo else []) + ([verify.arguments] if verify else []):
        for expression in arguments.values():
            used |= expression.paths if isinstance(expression, Cel) else set()
    hit = mapping.overlaps(frozenset(used), redact)
    if hit:
        return f"its undo needs {hit}, which is {NOT_STORED}"
    # The outcome of a write is handed to the real run from the journal, word for word.
    held = next((path for path in redact if path.startswith("result.")), "") if writes else ""
    return f"its result holds {held}, which is {NOT_STORED}" if held else ""
