"""Rules that do nothing, rules that meet, and conditions that a missing argument breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.policy.condition import Scope
from specflow.policy.document import AllowPart, RequirePart, RulePart
from specflow.policy.lint.sampling import Space, holds, names, space_of
from specflow.policy.lint.subject import Found, Site, Subject
from specflow.policy.verdict import Speculate

_CONFIRM = EffectClass.CONFIRMATION_REQUIRED


class Case(NamedTuple):
    """One sample: what it stands for, and which rules count on it; None: only because of an error."""

    names: Mapping[str, Any]
    applies: tuple[bool | None, ...]


def unreachable(subject: Subject) -> Found:
    """SF101: rules that no call can make count."""
    for site in subject.sites:
        tool = subject.tool(site.name)
        effect = _known_effect(subject, site)
        for index, rule in enumerate(site.part.rules):
            if rule.allow is not None and effect is not None and effect.strictness >= _CONFIRM.strictness:
                message = (
                    f"an allow cannot loosen {effect}: remove it, or mend the effect of {site.name!r} first"
                )
                yield subject.hit(site, "rules", index, "allow", message=message, key=True)
            elif _never([rule], tool):
                message = "no call makes this rule count: its condition contradicts itself"
                message += ", its `unless`, or the tool's schema" if rule.unless or tool else ""
                yield subject.hit(site, "rules", index, "when", message=f"{message}; mend or remove it")


def shadowed(subject: Subject) -> Found:
    """SF102: rules that change nothing, since the entry or another rule already says as much."""
    for site in subject.sites:
        tool = subject.tool(site.name)
        rules = site.part.rules
        for index, rule in enumerate(rules):
            said = _already(subject, site, rule)
            if not said and not _never([rule], tool):
                others = ((i, other) for i, other in enumerate(rules) if i != index)
                said = next(
                    (text for i, other in others if (text := _covered(rule, index, other, i, tool))), ""
                )
            if said:
                yield subject.hit(site, "rules", index, message=f"{rule.id!r} changes nothing: {said}")


def overlapping(subject: Subject) -> Found:
    """SF103: calls that one rule allows early and another takes back."""
    for site in subject.sites:
        tool = subject.tool(site.name)
        allows = [(index, rule) for index, rule in enumerate(site.part.rules) if rule.allow is not None]
        for index, allow in allows:
            for require in (rule for rule in site.part.rules if _takes_back(rule, allow)):
                meeting = _meeting(allow, require, tool)
                if meeting is not None:
                    message = (
                        f"{allow.id!r} and {require.id!r} both count for {_shown(meeting)}; the "
                        "require wins. If that is not meant, write the exception as `unless`"
                    )
                    yield subject.hit(site, "rules", index, message=message)


def _meeting(allow: RulePart, require: RulePart, tool: ToolSpec | None) -> Mapping[str, Any] | None:
    """A call on which both count, unless the require takes all of the allow back (SF102 says that)."""
    space = _space([allow, require], tool)
    both, alone = None, not space.exact
    for case in _cases([allow, require], space):
        both = case.names if both is None and case.applies == (True, True) else both
        alone = alone or case.applies == (True, False)
        if both is not None and alone:
            return both
    return None


def _known_effect(subject: Subject, site: Site) -> EffectClass | None:
    """What the entry is known to declare, whatever else matches; None where nothing says."""
    if site.part.effect is not None:
        return EffectClass(site.part.effect)
    if "*" in site.name or subject.plan(site.name).annotation is None:
        return None
    return subject.effect(site.name)


def _never(rules: list[RulePart], tool: ToolSpec | None) -> bool:
    space = _space(rules, tool)
    return space.exact and not any(case.applies[0] is True for case in _cases(rules, space))


def _space(rules: list[RulePart], tool: ToolSpec | None, *, odd: bool = False) -> Space:
    conditions = [cel for rule in rules for cel in (rule.when, rule.unless) if cel is not None]
    return space_of(conditions, tool, odd=odd)


def _cases(rules: list[RulePart], space: Space) -> Iterator[Case]:
    """On which samples each of the rules counts; one after the other, since few are mostly enough."""
    for point in space.points():
        said = names(point)
        scope = Scope(said)
        yield Case(said, tuple(_applies(rule, scope) for rule in rules))


def _applies(rule: RulePart, scope: Scope) -> bool | None:
    """Whether the rule counts; None for a require that counts only because of an error."""
    held = holds(rule.when, scope)
    excused = holds(rule.unless, scope) if rule.unless is not None else False
    if rule.allow is not None:
        return held is True and excused is False
    if held is False or excused is True:
        return False
    return True if held is True else None


def _takes_back(rule: RulePart, allow: RulePart) -> bool:
    """Whether the require forbids what the allow gives."""
    require = rule.require
    if require is None or allow.allow is None:
        return False
    effect = EffectClass(require.effect) if require.effect else EffectClass.READ_ONLY
    when = Speculate(require.speculate) if require.speculate else Speculate.NOW
    return (
        effect.strictness >= _CONFIRM.strictness
        or when.strictness > Speculate(allow.allow.speculate).strictness
    )


def _already(subject: Subject, site: Site, rule: RulePart) -> str:
    """What of the entry itself makes the rule needless; nothing when it adds something."""
    part, effect = site.part, _known_effect(subject, site)
    if effect is None or (effect.strictness >= _CONFIRM.strictness and rule.allow is not None):
        return ""
    usual = Speculate.NOW if effect is EffectClass.READ_ONLY else Speculate.HOLD
    usual = Speculate.NEVER if effect.strictness >= _CONFIRM.strictness else usual
    base = Speculate(part.speculate) if part.speculate else usual
    if rule.allow is not None:
        if Speculate(rule.allow.speculate).strictness < base.strictness:
            return ""
        return f"the entry is {base} without it"
    require = rule.require
    assert require is not None
    reach = min(
        [base, *(Speculate(other.allow.speculate) for other in part.rules if other.allow is not None)],
        key=lambda word: word.strictness,
    )
    never = effect.strictness >= _CONFIRM.strictness
    more = (
        require.effect is not None and EffectClass(require.effect).strictness > effect.strictness,
        require.speculate is not None
        and not never
        and Speculate(require.speculate).strictness > reach.strictness,
        require.min_confidence is not None
        and not never
        and reach is Speculate.NOW
        and require.min_confidence > (part.min_confidence or 0),
        require.confirm is not None and part.confirm == "host",
        require.confirm is not None and not never,
    )
    return "" if any(more) else "the entry demands as much without it"


def _covered(rule: RulePart, index: int, other: RulePart, at: int, tool: ToolSpec | None) -> str:
    """Why `other` makes `rule` needless on every call on which it counts; nothing when it does not."""
    back = rule.allow is not None and other.require is not None
    if not (_takes_back(other, rule) if back else _says_as_much(other, rule)):
        return ""
    space = _space([rule, other], tool, odd=rule.require is not None)
    if not space.exact or not _covers(rule, other, space):
        return ""
    if back:
        return f"{other.id!r} takes back every call that it allows"
    if at > index and _says_as_much(rule, other) and _covers(other, rule, space):
        # Of two that say the same, the later one is told about.
        return ""
    return f"{other.id!r} counts whenever it does, and says as much"


def _covers(one: RulePart, two: RulePart, space: Space) -> bool:
    """Whether `two` counts whenever `one` does."""
    cases = _cases([one, two], space)
    return not any(case.applies[0] is not False and case.applies[1] is False for case in cases)


def _says_as_much(one: RulePart, other: RulePart) -> bool:
    if one.allow is not None and other.allow is not None:
        return _gives_as_much(one.allow, other.allow)
    if one.require is not None and other.require is not None:
        return _demands_as_much(one.require, other.require)
    return False


def _gives_as_much(mine: AllowPart, theirs: AllowPart) -> bool:
    freer = Speculate(mine.speculate).strictness <= Speculate(theirs.speculate).strictness
    return freer and (mine.min_confidence or 0) <= (theirs.min_confidence or 0)


def _demands_as_much(mine: RequirePart, theirs: RequirePart) -> bool:
    effect = EffectClass(mine.effect).strictness if mine.effect else 0
    wanted = EffectClass(theirs.effect).strictness if theirs.effect else 0
    if effect < wanted or (theirs.confirm is not None and mine.confirm is None):
        return False
    if effect >= _CONFIRM.strictness:
        return True
    when = Speculate(mine.speculate).strictness if mine.speculate else 0
    then = Speculate(theirs.speculate).strictness if theirs.speculate else 0
    return when >= then and (mine.min_confidence or 0) >= (theirs.min_confidence or 0)


def _shown(said: Mapping[str, Any]) -> str:
    """The sample in one short line."""
    parts = [f"{root}.{name} = {value!r}" for root, inside in said.items() for name, value in inside.items()]
    return ", ".join(parts)[:200] or "a call without arguments"
