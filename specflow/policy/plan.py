"""What can be said about a tool before its arguments are known: settings, undo, what forbids early runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import before, hints, mapping, patching
from specflow.policy.before import NOT_STORED
from specflow.policy.compiled import Ask, Compensate, Compiled, Entry, Plan
from specflow.policy.condition import Cel, needs_of
from specflow.policy.settings import CONFIRM_WITHIN, Before, Match, ToolSettings, Undo, Verify, Version
from specflow.policy.undoing import Undoing

SCOPES = ("session", "thread", "tenant", "public")
"""Who may be given an early result, the narrowest first."""

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

    `reads_first` False: without plans of what its undo has read first, and of what amends it.
    `keeps_secrets`: what is redacted is stored, sealed, so that an undo may need it.
    """
    entries = policy.entries_for(name, tool)
    annotation = tool.annotation if tool is not None and policy.defaults.trust_annotations else None
    key = pick(entries, lambda entry: entry.idempotency_key, _least)
    key = key if key is not None else annotation.idempotency_key if annotation else ""
    transaction = pick(entries, lambda entry: entry.transaction, _least)
    if transaction is None:
        transaction = annotation.transaction if annotation is not None else ""
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
    asked = pick(entries, lambda entry: entry.version, _first)
    asking = _other(policy, asked.tool, tools) if asked is not None and reads_first else None
    version, no_version = _version(asked, asking, tool)
    sample = pick(entries, lambda entry: entry.verify_sample, _most)
    undo, no_undo = undoing.undo(written)
    amending = _other(policy, patch.tool, tools) if patch is not None and reads_first else None
    amends, no_patch = patching.prepare(patch, amending, tool, undo, redact)
    verify = undoing.verify(ask)
    show, no_show = _show(policy, entries, tool, tools) if reads_first else ((), ())
    waits = pick(entries, lambda entry: entry.confirm_within, _least) or policy.defaults.confirm_within
    settings = ToolSettings(
        timeout=pick(entries, lambda entry: entry.timeout, _least) or policy.defaults.timeout,
        retries=pick(entries, lambda entry: entry.retries, _least) or 0,
        backoff=pick(entries, lambda entry: entry.backoff, _most) or 0.2,
        match=pick(entries, lambda entry: entry.match, _exact) or Match(),
        reads=pick(entries, lambda entry: entry.reads, _union),
        writes=pick(entries, lambda entry: entry.writes, _union),
        ttl=pick(entries, lambda entry: entry.ttl, _least),
        scope=pick(entries, lambda entry: entry.cache_scope, _narrowest) or SCOPES[0],
        version=version,
        verify_sample=policy.defaults.verify_sample if sample is None else sample,
        # An early call that comes to nothing has cost the read before it, too.
        cost_usd=(pick(entries, lambda entry: entry.cost_usd, _most) or 0.0)
        + (reading.settings.cost_usd if reading is not None else 0.0),
        undo_usd=_undo_usd(policy, entries, undo, tools),
        visible_usd=pick(entries, lambda entry: entry.visible_usd, _most) or 0.0,
        max_concurrent=pick(entries, lambda entry: entry.max_concurrent, _least),
        max_branches=pick(entries, lambda entry: entry.max_branches, _least),
        max_per_minute=pick(entries, lambda entry: entry.max_per_minute, _least),
        idempotency_key=key,
        transaction=transaction,
        undo=undo,
        verify=verify,
        patch=amends,
        redact=redact,
        confirm_within=waits or CONFIRM_WITHIN,
        show=show,
    )
    hinted = tool is not None and policy.defaults.trusts(tool) and hints.says_it_reads(tool.hints)
    floor, floor_of = hints.floor(tool) if tool is not None else (None, "")
    writes = _writes(entries, annotation.effect if annotation else EffectClass.READ_ONLY if hinted else None)
    return Plan(
        name=name,
        tool=tool,
        registered=registered,
        entries=entries,
        defaults=policy.defaults,
        policy_hash=policy.hash,
        annotation=annotation,
        floor=floor,
        floor_of=floor_of,
        hinted=hinted,
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
        else _redaction(undo, verify, redact, writes=writes) or _secret(policy, undo, reading, tools),
        before=reading,
        no_patch=no_patch,
        asking=asking,
        no_version=no_version,
        no_show=no_show,
    )


def entries_of(policy: Compiled, name: str, tools: ToolRegistry | None) -> tuple[Entry, ...]:
    """Every entry that speaks about the tool of that name, as far as the tools are known."""
    return policy.entries_for(name, tools.get(name) if tools is not None else None)


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


def _version(asked: Ask | None, asking: Plan | None, tool: ToolSpec | None) -> tuple[Version | None, str]:
    """How to ask for the version, or why that cannot be done. `asking` is the plan of who tells it."""
    if asked is None or asking is None:
        return None, ""
    made, problem = before.prepare(asked, asking, tool, role="tells versions", place="version")
    return (None, problem) if made is None else (Version(tool=made.tool, arguments=made.arguments), "")


def _show(
    policy: Compiled, entries: Sequence[Entry], tool: ToolSpec | None, tools: ToolRegistry | None
) -> tuple[tuple[Before, ...], tuple[str, ...]]:
    """The reads that a person is shown with the question, and why others cannot be made."""
    made: list[Before] = []
    problems: list[str] = []
    for asked in pick(entries, lambda entry: entry.show, _first) or ():
        read, problem = before.prepare(
            asked, _other(policy, asked.tool, tools), tool, role="is shown with the question", place="show"
        )
        if read is None:
            problems.append(problem)
        else:
            made.append(read)
    return tuple(made), tuple(problems)


def _narrowest(values: list[str]) -> str:
    return min(values, key=SCOPES.index)


def _first(values: list[T]) -> T:
    # Files that say different things here do not load, patterns of equal rank are told apart by their text.
    return sorted(values, key=repr)[0]


def _exact(values: list[Match]) -> Match:
    found = sorted(values, key=repr)
    return next((match for match in found if match.mode == "exact"), found[0])


def _union(values: list[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({item for value in values for item in value}))


def _undo_usd(
    policy: Compiled, entries: Sequence[Entry], undo: Undo | None, tools: ToolRegistry | None
) -> float:
    """What is said of it, or else what a call of the compensator costs."""
    said = pick(entries, lambda entry: entry.undo_usd, _most)
    if said is None and undo is not None:
        said = pick(entries_of(policy, undo.tool, tools), lambda entry: entry.cost_usd, _most)
    return said or 0.0


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
    return _other(policy, written.before.tool, tools)


def _other(policy: Compiled, name: str, tools: ToolRegistry | None) -> Plan:
    target = tools.get(name) if tools is not None else None
    known = tools is None or target is not None
    known_as = target.name if target is not None else name
    return plan(policy, known_as, target, tools, registered=known, reads_first=False)


def _secret(policy: Compiled, undo: Undo | None, reading: Plan | None, tools: ToolRegistry | None) -> str:
    """Why what was there before may not be stored, though the undo writes it back; or nothing."""
    if undo is None or undo.before is None or reading is None:
        return ""
    entries = entries_of(policy, undo.tool, tools)
    return before.secret(undo, reading.settings.redact, _redact(policy, entries))


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
