"""Undoing: whether the compensator is there, may be called, can be called again, and in time."""

from __future__ import annotations

from collections.abc import Iterator

from specflow.effects.kind import EffectClass
from specflow.policy.document import CompensatePart
from specflow.policy.lint.subject import Found, Site, Subject
from specflow.policy.settings import EARLY_TIMEOUT

UNDO_SECONDS = 30.0
"""What one try of a compensator may take (`specflow.settlement.undo.UNDO_TIMEOUT`)."""


def missing(subject: Subject) -> Found:
    """SF201: effects that are called compensatable, and that nothing takes back."""
    for site in subject.sites:
        part = site.part
        if part.effect != "compensatable" or _compensators(subject, site.name):
            continue
        early = part.speculate == "now" or any(
            rule.allow and rule.allow.speculate == "now" for rule in part.rules
        )
        never = ", so it never runs early" if early else ""
        message = f"compensatable without a compensator{never}: add `compensate`"
        yield subject.hit(site, message=message, key=True)
    for site in subject.sites:
        annotation = subject.plan(site.name).annotation
        target = annotation.undo if annotation is not None and subject.early(site.name) else ""
        written = any(entry.compensate for entry in subject.entries(site.name))
        if target and not written and subject.tools is not None and target not in subject.tools:
            message = (
                f"the compensator {target!r} that the Python source names is not registered: register it"
            )
            yield subject.hit(site, message=message, key=True)


def unclassed(subject: Subject) -> Found:
    """SF202: compensators that nobody has classed."""
    for site in subject.sites:
        written = site.part.compensate
        if written is None or subject.classed(written.tool) or _unregistered(subject, written.tool):
            continue
        message = (
            f"nothing says what {written.tool!r} may do: list it, for example "
            f"`{written.tool}: {{effect: confirmation_required, compensator_for: [{site.name}]}}`"
        )
        yield subject.hit(site, "compensate", "tool", message=message)


def cyclic(subject: Subject) -> Found:
    """SF203: compensators that are undone by what they undo."""
    for site in subject.sites:
        written = site.part.compensate
        # Writing back what was there before is no second effect that would need an undo.
        if written is None or (written.tool == site.name and (written.before is not None or _swaps(written))):
            continue
        way = _way(subject, written.tool, site.name)
        if way:
            message = (
                f"{' -> '.join([site.name, *way])}: an undo must not have an undo that leads back; give the "
                "last of them another effect"
            )
            yield subject.hit(site, "compensate", "tool", message=message)


def _swaps(written: CompensatePart) -> bool:
    """Whether arguments only change places, so that twice is as never: `{a: args.b, b: args.a}`."""
    taken = {name: expression.source.strip() for name, expression in (written.with_ or {}).items()}
    places = {
        name: source.removeprefix("args.") for name, source in taken.items() if source.startswith("args.")
    }
    there_and_back = all(places.get(place) == name for name, place in places.items())
    return (
        len(places) == len(taken) and there_and_back and any(name != place for name, place in places.items())
    )


def repeated(subject: Subject) -> Found:
    """SF204: compensators that would undo twice when they are tried again."""
    for site in subject.sites:
        written = site.part.compensate
        if written is None or written.tolerates_missing:
            continue
        plan = subject.plan(written.tool)
        hints = plan.tool.hints if plan.tool is not None else {}
        if plan.settings.idempotency_key or plan.settings.transaction or hints.get("idempotentHint") is True:
            continue
        arguments = written.with_ or {}
        roots = {root for expression in arguments.values() for root in expression.roots}
        named = bool(roots & {"key", "result", "before"}) or written.with_ is None
        retries = plan.settings.retries
        if "key" in roots or (named and not retries):
            continue
        what = (
            f"is retried {retries} times"
            if retries
            else "is tried again when it fails, and nothing in `with` says which effect is meant"
        )
        message = (
            f"{written.tool} {what}, and takes no idempotency key: it could undo twice. Map `key`, "
            f"give {written.tool} an `idempotency_key`, or say `tolerates_missing: true` if calling again is "
            "harmless"
        )
        yield subject.hit(site, "compensate", message=message, key=True)


def window(subject: Subject) -> Found:
    """SF209: undos that may come too late."""
    for site in subject.sites:
        written = site.part.compensate
        if written is None or written.within is None:
            continue
        settings = subject.plan(site.name).settings
        held = (settings.timeout or EARLY_TIMEOUT) + UNDO_SECONDS
        if written.within < held:
            message = (
                f"{site.name} may be held for {held - UNDO_SECONDS:g} s, and a try to undo it takes up to "
                f"{UNDO_SECONDS:g} s, so the undo may come after {written.within:g} s: shorten the "
                f"`timeout` of {site.name}, or set `speculate: never`"
            )
            yield subject.hit(site, "compensate", "within", message=message)


def denied(subject: Subject) -> Found:
    """SF210: compensators that the policy denies."""
    for site in subject.sites:
        written = site.part.compensate
        if written is not None and subject.effect(written.tool) is EffectClass.DENY:
            message = (
                f"{written.tool!r} is denied, so nothing can be undone: make it confirmation_required with "
                f"`compensator_for: [{site.name}]`"
            )
            yield subject.hit(site, "compensate", "tool", message=message)


def verifier(subject: Subject) -> Found:
    """SF211: verifiers that may change something."""
    for site in subject.sites:
        written = site.part.verify
        if written is None or not subject.classed(written.tool):
            continue
        effect = subject.effect(written.tool)
        if effect is not EffectClass.READ_ONLY:
            message = (
                f"{written.tool!r} is {effect}, and a verifier is called without asking: class it read_only "
                "if it only reads, or name another tool"
            )
            yield subject.hit(site, "verify", "tool", message=message)


def read_late(subject: Subject) -> Found:
    """SF212: writes that are to run early, and whose read from before never does."""
    for site in subject.sites:
        before = site.part.compensate.before if site.part.compensate is not None else None
        if before is None or not subject.early(site.name) or subject.early(before.tool):
            continue
        message = (
            f"{before.tool} reads what was there before {site.name} writes, and never runs early itself, so "
            f"{site.name} never does: give {before.tool} `speculate: now`, or {site.name} `speculate: hold`"
        )
        yield subject.hit(site, "compensate", "before", "tool", message=message)


def _compensators(subject: Subject, name: str) -> list[str]:
    """Every compensator that a policy entry or the Python source names for the tool."""
    found = [entry.compensate.tool for entry in subject.entries(name) if entry.compensate is not None]
    annotation = subject.plan(name).annotation
    return found + ([annotation.undo] if annotation is not None and annotation.undo else [])


def _way(subject: Subject, start: str, goal: str) -> list[str]:
    """The compensators from `start` to `goal`; empty when there is no such way."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop()
        if way[-1] == goal:
            return way
        for target in _compensators(subject, way[-1]):
            if target not in seen or target == goal:
                seen.add(target)
                ways.append([*way, target])
    return []


def _unregistered(subject: Subject, name: str) -> bool:
    return subject.tools is not None and name not in subject.tools


def sites_with_targets(subject: Subject) -> Iterator[tuple[Site, tuple[str, ...], str]]:
    """Every entry with a field that names another tool, where that is, and the tool."""
    for site in subject.sites:
        part = site.part
        for where, written in (
            (("compensate",), part.compensate),
            (("compensate", "before"), part.compensate.before if part.compensate is not None else None),
            (("verify",), part.verify),
            (("patch",), part.patch),
            (("version",), part.version),
        ):
            if written is not None:
                yield site, where, written.tool
