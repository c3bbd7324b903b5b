"""Settings that say how safely a tool runs early, compared one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.policy.compiled import Defaults, Destinations, Plan
from specflow.policy.condition import Cel
from specflow.policy.diff.destinations import within
from specflow.policy.diff.report import Change
from specflow.policy.judge import declared
from specflow.policy.plan import SCOPES, pick
from specflow.policy.settings import CONFIRM_WITHIN, Budgets, Match, ToolSettings, Undo, Verify

_FOREVER = float("inf")
_EARLY_ONLY = frozenset(
    {"destinations", "match", "predictors", "reads", "cache.ttl", "cache.scope", "version", "verify_sample"}
    | {"limits.max_concurrent", "limits.max_branches", "limits.max_per_minute"}
    | {"limits.cost_usd", "limits.undo_usd", "limits.visible_usd_per_second"}
)
Order = Callable[[Any, Any], str]
"""How the new value stands to the old one: looser, tighter, changed, or nothing when it is the same."""


def of_tool(old: Plan, new: Plan) -> list[Change]:
    """What differs between the settings of one tool; how it runs early only where NEW may run it early."""
    rows: list[tuple[str, Any, Any, Order]] = [
        ("destinations", old.destinations, new.destinations, _destinations),
        ("match", _match(old.settings.match), _match(new.settings.match), _more_is_looser),
        ("compensate", _undo(old.settings.undo), _undo(new.settings.undo), _differs),
        ("verify", _verify(old.settings.verify), _verify(new.settings.verify), _differs),
        ("version", _version(old), _version(new), _asked),
        ("verify_sample", *_samples(old, new), _larger_is_looser),
        ("patch", _patch(old), _patch(new), _differs),
        ("idempotency_key", old.settings.idempotency_key, new.settings.idempotency_key, _differs),
        ("transaction", old.settings.transaction, new.settings.transaction, _differs),
        ("redact", *_redacted(old, new), _more_is_tighter),
        ("show", _show(old.settings), _show(new.settings), _differs),
        ("confirm_within", *_waits(old, new), _larger_is_looser),
        ("predictors", old.predictors, new.predictors, _predictors),
        ("reads", _keys(old.settings.reads), _keys(new.settings.reads), _footprint),
        ("writes", _keys(old.settings.writes), _keys(new.settings.writes), _footprint),
        ("cache.ttl", _ttl(old), _ttl(new), _larger_is_looser),
        ("cache.scope", _scope(old), _scope(new), _larger_is_looser),
        *_limits(old.settings, new.settings),
        ("compensator_for", _compensator_for(old), _compensator_for(new), _more_is_looser),
    ]
    never = declared(new, []).strictness >= EffectClass.CONFIRMATION_REQUIRED.strictness
    return list(_changes(old.name, [row for row in rows if not (never and row[0] in _EARLY_ONLY)]))


def of_defaults(old: Defaults, new: Defaults) -> list[Change]:
    """What differs between the defaults of the two policies."""
    rows: list[tuple[str, Any, Any, Order]] = [
        ("defaults.unlisted_tools", -old.unlisted.strictness, -new.unlisted.strictness, _larger_is_looser),
        (
            "defaults.confirm_unlisted",
            old.confirm_unlisted == "host",
            new.confirm_unlisted == "host",
            _larger_is_looser,
        ),
        ("defaults.trust_annotations", old.trust_annotations, new.trust_annotations, _larger_is_looser),
        ("defaults.speculation.min_confidence", -old.min_confidence, -new.min_confidence, _larger_is_looser),
        *_budgets(old.budgets, new.budgets),
        ("defaults.speculation.verify_sample", -old.verify_sample, -new.verify_sample, _larger_is_looser),
        ("defaults.confirm_within", _within(old), _within(new), _larger_is_looser),
        ("defaults.redact", {*old.redact}, {*new.redact}, _more_is_tighter),
        ("trusted_mcp_servers", {*old.trusted_mcp_servers}, {*new.trusted_mcp_servers}, _more_is_looser),
    ]
    shown = {
        "defaults.unlisted_tools": (str(old.unlisted), str(new.unlisted)),
        "defaults.confirm_unlisted": (str(old.confirm_unlisted), str(new.confirm_unlisted)),
        "defaults.speculation.min_confidence": (f"{old.min_confidence:g}", f"{new.min_confidence:g}"),
    }
    return list(_changes("", rows, shown))


def _changes(
    tool: str, rows: list[tuple[str, Any, Any, Order]], shown: Mapping[str, tuple[str, str]] | None = None
) -> Iterator[Change]:
    for setting, old, new, order in rows:
        if old == new:
            continue
        direction = order(old, new)
        if direction:
            texts = (shown or {}).get(setting, (_text(setting, old), _text(setting, new)))
            yield Change(tool=tool, setting=setting, direction=direction, old=texts[0], new=texts[1])


def _text(setting: str, value: Any) -> str:
    special: dict[str, Callable[[Any], str]] = {
        "limits.cost_usd": lambda cost: f"{-cost:g}",
        "limits.undo_usd": lambda cost: f"{-cost:g}",
        "limits.visible_usd_per_second": lambda cost: f"{-cost:g}",
        "cache.scope": lambda scope: SCOPES[scope],
        "verify_sample": lambda share: f"{-share:g}",
        "defaults.speculation.verify_sample": lambda share: f"{-share:g}",
        "destinations": lambda several: "; ".join(map(_declared, several)) or "none",
        "predictors": lambda who: "anyone (writes: partial_call)" if who is None else _plain(who),
    }
    return special.get(setting, _plain)(value)


def _plain(value: Any) -> str:
    if value is None or value == _FOREVER:
        return "none" if value is None else "no limit"
    if isinstance(value, set | frozenset | tuple):
        return ", ".join(map(str, value if isinstance(value, tuple) else sorted(value))) or "none"
    return str(value) or "none"


def _declared(item: Destinations) -> str:
    parts = {"host": item.host, "email": item.email, "path": item.path}
    return " ".join(f"{name}: {', '.join(values)}" for name, values in parts.items() if values)


def _larger_is_looser(old: Any, new: Any) -> str:
    return "looser" if new > old else "tighter"


def _more_is_looser(old: Any, new: Any) -> str:
    if old < new:
        return "looser"
    return "tighter" if new < old else "changed"


def _more_is_tighter(old: Any, new: Any) -> str:
    """One that is gone is looser, whatever has come."""
    return "tighter" if old < new else "looser"


def _differs(_old: Any, _new: Any) -> str:
    return "changed"


def _asked(old: str, new: str) -> str:
    """Without a version to ask for, what has changed outside is not noticed."""
    if not new:
        return "looser"
    return "changed" if old else "tighter"


def _destinations(old: tuple[Destinations, ...], new: tuple[Destinations, ...]) -> str:
    if within(new, old):
        return "" if within(old, new) else "tighter"
    return "looser"


def _predictors(old: frozenset[str] | None, new: frozenset[str] | None) -> str:
    # Nothing written means anyone for reads, partial_call for writes: neither is within the other's words.
    if old is None:
        return "tighter" if new is not None and new <= {"partial_call"} else "changed"
    if new is None:
        return "looser"
    return _more_is_looser(old, new)


def _redacted(old: Plan, new: Plan) -> tuple[set[str], set[str]]:
    """What is redacted for the tool; nothing at all where the difference is that of the defaults."""
    mine, theirs = {*old.settings.redact}, {*new.settings.redact}
    before, after = {*old.defaults.redact}, {*new.defaults.redact}
    same = (mine - theirs, theirs - mine) == (before - after, after - before)
    return (set(), set()) if same else (mine, theirs)


def _footprint(old: frozenset[str] | None, new: frozenset[str] | None) -> str:
    """Fewer keys make fewer early reads stale; undeclared overlaps everything."""
    if new is None or (old is not None and old < new):
        return "tighter"
    return "looser" if old is None or new < old else "changed"


def _keys(templates: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if templates is None else frozenset(templates)


def _match(match: Match) -> frozenset[str]:
    """What does not count, or not as written, when two calls are compared."""
    if match.mode == "exact":
        return frozenset()
    return frozenset([f"ignore {name}" for name in match.ignore]) | {
        f"{name} as {form}" for name, form in match.fields.items()
    }


def _undo(undo: Undo | None) -> tuple[str, ...]:
    if undo is None:
        return ()
    mapping = _mapping(undo.arguments)
    succeeded = f"succeeded_when {undo.succeeded_when.source}" if undo.succeeded_when else ""
    missing = "tolerates_missing" if undo.tolerates_missing else ""
    within_ = f"within {undo.within:g} s" if undo.within is not None else ""
    first = f"before {undo.before.tool}({_mapping(undo.before.arguments)})" if undo.before else ""
    return tuple(part for part in (f"{undo.tool}({mapping})", first, succeeded, missing, within_) if part)


def _verify(verify: Verify | None) -> str:
    return f"{verify.tool}({_mapping(verify.arguments)})" if verify is not None else ""


def _version(plan: Plan) -> str:
    # As it is written: where it cannot be asked, the verdicts differ.
    written = pick(plan.entries, lambda entry: entry.version, lambda several: several[0])
    if written is None:
        return ""
    return f"{written.tool}({_mapping(written.arguments or {})})"


def _samples(old: Plan, new: Plan) -> tuple[float, float]:
    """Of each its own; nothing where the difference is that of the defaults."""
    mine, theirs = old.settings.verify_sample, new.settings.verify_sample
    inherited = (mine, theirs) == (old.defaults.verify_sample, new.defaults.verify_sample)
    return (0.0, 0.0) if inherited else (-mine, -theirs)


def _show(settings: ToolSettings) -> tuple[str, ...]:
    return tuple(f"{read.tool}({_mapping(read.arguments)})" for read in settings.show)


def _within(defaults: Defaults) -> float:
    return defaults.confirm_within or CONFIRM_WITHIN


def _waits(old: Plan, new: Plan) -> tuple[float, float]:
    """The same."""
    mine, theirs = old.settings.confirm_within, new.settings.confirm_within
    inherited = (mine, theirs) == (_within(old.defaults), _within(new.defaults))
    return (0.0, 0.0) if inherited else (mine, theirs)


def _patch(plan: Plan) -> str:
    patch = plan.patch
    if patch is None:
        return ""
    said = f"{patch.tool}({_mapping(patch.arguments)}) for {', '.join(sorted(patch.fields))}"
    return f"{said} returns {patch.returns.source}" if patch.returns is not None else said


def _mapping(arguments: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}: {expression.source if isinstance(expression, Cel) else '?'}"
        for name, expression in sorted(arguments.items())
    )


def _ttl(plan: Plan) -> float:
    return _FOREVER if plan.settings.ttl is None else plan.settings.ttl


def _scope(plan: Plan) -> int:
    return SCOPES.index(plan.settings.scope)


def _limits(old: ToolSettings, new: ToolSettings) -> Iterator[tuple[str, Any, Any, Order]]:
    for name in ("max_concurrent", "max_branches", "max_per_minute"):
        before, after = (
            _FOREVER if value is None else value for value in (getattr(old, name), getattr(new, name))
        )
        yield f"limits.{name}", before, after, _larger_is_looser
    prices = {"cost_usd": "cost_usd", "undo_usd": "undo_usd", "visible_usd": "visible_usd_per_second"}
    for name, written in prices.items():
        yield f"limits.{written}", -getattr(old, name), -getattr(new, name), _larger_is_looser


def _budgets(old: Budgets, new: Budgets) -> Iterator[tuple[str, Any, Any, Order]]:
    for item in dataclasses.fields(Budgets):
        name = item.name
        yield f"defaults.speculation.{name}", getattr(old, name), getattr(new, name), _larger_is_looser


def _compensator_for(plan: Plan) -> frozenset[str]:
    return frozenset(name for entry in plan.entries for name in entry.compensator_for)
