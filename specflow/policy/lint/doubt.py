"""Early calls that may end without anybody knowing whether they had their effect."""

from __future__ import annotations

from collections.abc import Iterator

from specflow.effects.kind import EffectClass
from specflow.policy.compiled import Compensate
from specflow.policy.lint.subject import Found, Site, Subject
from specflow.policy.settings import EARLY_TIMEOUT


def untold(subject: Subject) -> Found:
    """SF310: writes that run early, and of which nobody could find out whether they happened."""
    for site in subject.sites:
        places = list(_makes_early(site))
        name = next((name for name in _about(subject, site) if _stuck(subject, name)), "") if places else ""
        for place in places if name else ():
            yield subject.hit(site, *place, message=_message(subject, name), key=True)


def _makes_early(site: Site) -> Iterator[tuple[str | int, ...]]:
    """Where the entry says that a call may run early."""
    if site.part.speculate == "now":
        yield ("speculate",)
    for index, rule in enumerate(site.part.rules):
        if rule.allow and rule.allow.speculate == "now":
            yield ("rules", index, "allow")


def _about(subject: Subject, site: Site) -> Iterator[str]:
    """The tools that the entry speaks about; where they are not known, what it calls them."""
    if subject.tools is None:
        yield site.name
        return
    for tool in subject.tools:
        if any(entry.pattern == site.name for entry in subject.entries(tool.name)):
            yield tool.name


def _stuck(subject: Subject, name: str) -> bool:
    """Whether an early call is possible, and has no way out of an unknown outcome (`Settler.rest`)."""
    if subject.effect(name) is not EffectClass.COMPENSATABLE or not subject.early(name):
        return False
    plan, undo = subject.plan(name), _undo(subject, name)
    settings = plan.settings
    if undo is None or plan.redaction or (settings.undo is None and subject.tools is not None):
        return False  # it is not early after all: another check says why
    # The key is no way out: only what the real run has decided is repeated under it.
    return not (settings.transaction or _asks(subject, name) or _tolerant(subject, name, undo))


def _undo(subject: Subject, name: str) -> Compensate | None:
    """What is written of the undo, where arguments that are derived need not be known."""
    annotation = subject.plan(name).annotation
    named = Compensate(tool=annotation.undo) if annotation is not None and annotation.undo else None
    return next((entry.compensate for entry in subject.entries(name) if entry.compensate), named)


def _asks(subject: Subject, name: str) -> bool:
    """Whether a `verify` is written; one that could not be called has findings of its own."""
    annotation = subject.plan(name).annotation
    marked = annotation is not None and bool(annotation.verify)
    return marked or any(entry.verify is not None for entry in subject.entries(name))


def _tolerant(subject: Subject, name: str, undo: Compensate) -> bool:
    return undo.tolerates_missing and not _needs_result(subject, name)


def _needs_result(subject: Subject, name: str) -> bool:
    undo = subject.plan(name).settings.undo
    return undo is not None and undo.needs_result


def _message(subject: Subject, name: str) -> str:
    settings, undo = subject.plan(name).settings, _undo(subject, name)
    assert undo is not None  # without one it is not early
    keyed = " (its key does not tell: a guess is not repeated)" if settings.idempotency_key else ""
    if not _needs_result(subject, name):
        cheapest = (
            f"say `tolerates_missing: true` if {undo.tool} does no harm where nothing happened, or "
            "add a `verify`"
        )
    elif undo.tolerates_missing:
        cheapest = (
            "map `key` or `args` in `compensate` instead of `result`, without which `tolerates_missing` "
            "would count, or add a `verify`"
        )
    else:
        cheapest = (
            "add a `verify`, or map `key` or `args` in `compensate` instead of `result`, with "
            "`tolerates_missing: true`"
        )
    seconds = settings.timeout or EARLY_TIMEOUT
    return (
        f"an early call of {name} that times out ({seconds:g} s), or whose process dies, is stuck: nothing "
        f"tells whether it happened{keyed}, and its effect may stand until an operator resolves it. Cheapest "
        f"first: {cheapest}, or a `transaction` if it writes where the journal is; else say `speculate: hold`"
    )
