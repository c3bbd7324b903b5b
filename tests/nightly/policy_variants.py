"""One random policy beside others that differ from it in one known way."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from policy_conditions import NEVER_READABLE, TRUE
from policy_world import PATTERNS, Rule, World, random_rule, random_world, text

from specflow.policy import load, loads
from specflow.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Variants:
    """One policy and those that differ from it in one known way."""

    whole: Policy
    again: Policy
    shuffled: Policy
    more_require: Policy
    more_allow: Policy
    allow_is_new_opinion: bool
    unreadable_rule: Policy
    strictest: Policy
    divided: Policy
    divided_turned: Policy


def variants(dice: random.Random, world: World, folder: Path) -> Variants:
    """All policies that the pairs of one world are judged by."""
    document = text(world.document())
    pattern = dice.choice(PATTERNS)
    with_allow = _copy(world)
    _add(with_allow, pattern, random_rule(dice, "added", "allow"))
    with_require = _copy(world)
    _add(with_require, dice.choice(PATTERNS), random_rule(dice, "added", "require"))
    first, second = _divided(dice, world, folder)
    return Variants(
        whole=loads(document),
        again=loads(document),
        shuffled=loads(text(_shuffled(dice, world.document()))),
        more_require=loads(text(with_require.document())),
        more_allow=loads(text(with_allow.document())),
        allow_is_new_opinion=not _has_opinion(world, pattern),
        unreadable_rule=loads(text(_one_unreadable(dice, world).document())),
        strictest=loads(text(_strictest(world).document())),
        divided=load([first, second]),
        divided_turned=load([second, first]),
    )


def _copy(world: World) -> World:
    rules = {name: list(several) for name, several in world.rules.items()}
    return World(world.defaults, dict(world.entries), rules, world.tools)


def _has_opinion(world: World, pattern: str) -> bool:
    """Whether the entry says when its tool may run; if not, its first allow makes it say the usual."""
    said = world.entries.get(pattern, {}).keys() & {"effect", "speculate", "min_confidence"}
    return bool(said) or any(rule.kind == "allow" for rule in world.rules.get(pattern, []))


def _add(world: World, pattern: str, rule: Rule) -> None:
    world.entries.setdefault(pattern, {})
    world.rules.setdefault(pattern, []).append(rule)


def _one_unreadable(dice: random.Random, world: World) -> World:
    """A rule whose `when` or `unless` can no longer be evaluated."""
    made = _copy(world)
    places = [(name, index) for name, several in made.rules.items() for index in range(len(several))]
    if places:
        name, index = dice.choice(places)
        rule = made.rules[name][index]
        part = dice.choice(("when", "unless"))
        made.rules[name][index] = replace(rule, **{part: NEVER_READABLE})
    return made


def _strictest(world: World) -> World:
    """Every `require` applies, no `allow` does: what is left when no condition can be evaluated."""
    rules = {
        name: [
            # An allow that never applies still says that its entry has an opinion.
            replace(rule, when=TRUE if rule.kind == "require" else NEVER_READABLE, unless=None)
            for rule in several
        ]
        for name, several in world.rules.items()
    }
    return World(world.defaults, world.entries, rules, world.tools)


def _shuffled(dice: random.Random, value: Any) -> Any:
    if isinstance(value, dict):
        names = list(value)
        dice.shuffle(names)
        return {name: _shuffled(dice, value[name]) for name in names}
    if isinstance(value, list):
        items = [_shuffled(dice, item) for item in value]
        dice.shuffle(items)
        return items
    return value


def _divided(dice: random.Random, world: World, folder: Path) -> tuple[Path, Path]:
    """The policy dealt out to two files, field by field and rule by rule."""
    parts: list[dict[str, Any]] = [{"version": 1, "defaults": {}, "tools": {}} for _ in range(2)]
    for name, value in world.defaults.items():
        dice.choice(parts)["defaults"][name] = value
    if dice.random() < 0.5:
        # One more opinion, in whichever file has none: the stricter one must win.
        more = random_world(dice).defaults
        for name in sorted(
            more.keys() & world.defaults.keys() & {"unlisted_tools", "confirm_unlisted", "speculation"}
        ):
            for part in parts:
                part["defaults"].setdefault(name, more[name])
    for pattern, entry in world.entries.items():
        for name, value in entry.items():
            dice.choice(parts)["tools"].setdefault(pattern, {})[name] = value
        for rule in world.rules[pattern]:
            tools = dice.choice(parts)["tools"]
            tools.setdefault(pattern, {}).setdefault("rules", []).append(rule.plain())
    paths = folder / "one.yaml", folder / "two.yaml"
    for path, part in zip(paths, parts, strict=True):
        path.write_text(text(part), encoding="utf-8")
    return paths
