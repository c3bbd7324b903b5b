"""`Document` to `Entry`: from what was written to what it means."""

from __future__ import annotations

from specflow.effects.kind import EffectClass
from specflow.policy.compiled import Allow, Ask, Compensate, Destinations, Entry, Patch, Require
from specflow.policy.document import CompensatePart, DestinationsPart, LimitsPart, RulePart, ToolPart
from specflow.policy.read_document import Read, place
from specflow.policy.settings import Match
from specflow.policy.verdict import Asking, Speculate


def entries(read: Read) -> list[Entry]:
    """The entries of one file."""
    assert read.document is not None
    return [_entry(read, name, part) for name, part in read.document.tools.items()]


def _where(read: Read, *loc: int | str) -> str:
    line, column = place(read.spot, loc, key=True)
    return f"{read.file}:{line}:{column}"


def _entry(read: Read, name: str, part: ToolPart) -> Entry:
    allows: list[Allow] = []
    requires: list[Require] = []
    limits = part.limits or LimitsPart()
    for index, rule in enumerate(part.rules):
        line, column = place(read.spot, ("tools", name, "rules", index))
        _rule(rule, f"{read.file}:{line}:{column}", allows, requires)
    return Entry(
        pattern=name,
        where=_where(read, "tools", name),
        effect=EffectClass(part.effect) if part.effect else None,
        speculate=Speculate(part.speculate) if part.speculate else None,
        min_confidence=part.min_confidence,
        confirm=Asking(part.confirm) if part.confirm else None,
        confirm_within=part.confirm_within,
        show=tuple(Ask(tool=item.tool, arguments=item.with_) for item in part.show or ()) or None,
        proposed=part.status == "proposed",
        reviewed=part.reviewed or "",
        predictors=None if part.predictors is None else frozenset(part.predictors),
        allows=tuple(sorted(allows, key=lambda rule: rule.id)),
        requires=tuple(requires),
        destinations=_destinations(part.destinations),
        compensator_for=frozenset(part.compensator_for or ()),
        redact=tuple(sorted(set(part.redact or ()))),
        timeout=part.timeout,
        retries=part.retries.max if part.retries else None,
        backoff=part.retries.backoff if part.retries else None,
        match=_match(part),
        reads=None if part.reads is None else tuple(part.reads),
        writes=None if part.writes is None else tuple(part.writes),
        ttl=part.cache.ttl if part.cache else None,
        cache_scope=part.cache.scope if part.cache else None,
        max_concurrent=limits.max_concurrent,
        max_branches=limits.max_branches,
        max_per_minute=limits.max_per_minute,
        cost_usd=limits.cost_usd,
        undo_usd=limits.undo_usd,
        visible_usd=limits.visible_usd_per_second,
        idempotency_key=part.idempotency_key,
        transaction=part.transaction,
        compensate=_compensate(part),
        version=Ask(tool=part.version.tool, arguments=part.version.with_) if part.version else None,
        verify_sample=part.verify_sample,
        verify=Ask(tool=part.verify.tool, arguments=part.verify.with_) if part.verify else None,
        patch=_patch(part),
    )


def _rule(rule: RulePart, where: str, allows: list[Allow], requires: list[Require]) -> None:
    if rule.allow is not None:
        allows.append(
            Allow(
                id=rule.id,
                where=where,
                when=rule.when,
                unless=rule.unless,
                speculate=Speculate(rule.allow.speculate),
                min_confidence=rule.allow.min_confidence,
            )
        )
    if rule.require is not None:
        requires.append(
            Require(
                id=rule.id,
                where=where,
                when=rule.when,
                unless=rule.unless,
                effect=EffectClass(rule.require.effect) if rule.require.effect else None,
                speculate=Speculate(rule.require.speculate) if rule.require.speculate else None,
                min_confidence=rule.require.min_confidence,
                ask=rule.require.confirm == "ask",
            )
        )


def _match(part: ToolPart) -> Match | None:
    if part.match is None:
        return None
    return Match(mode=part.match.mode, fields=dict(part.match.fields), ignore=frozenset(part.match.ignore))


def _destinations(part: DestinationsPart | None) -> Destinations | None:
    if part is None:
        return None
    return Destinations(
        host=_several(part.host), email=_several(part.email), path=_several(part.path, fold=False)
    )


def _several(value: str | list[str] | None, *, fold: bool = True) -> tuple[str, ...]:
    items = [] if value is None else [value] if isinstance(value, str) else value
    return tuple(sorted({item.strip().lower() if fold else item.strip() for item in items}))


def _compensate(part: ToolPart) -> Compensate | None:
    written = part.compensate
    if written is None:
        return None
    return Compensate(
        tool=written.tool,
        arguments=written.with_,
        before=_before(written),
        succeeded_when=written.succeeded_when,
        tolerates_missing=written.tolerates_missing,
        within=written.within,
    )


def _before(written: CompensatePart) -> Ask | None:
    before = written.before
    return None if before is None else Ask(tool=before.tool, arguments=before.with_)


def _patch(part: ToolPart) -> Patch | None:
    if part.patch is None:
        return None
    written = part.patch
    return Patch(
        tool=written.tool, fields=tuple(written.fields), arguments=written.with_, returns=written.returns
    )
