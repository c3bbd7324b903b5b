"""Random policies and calls from a seed, and what the design says about them, computed another way."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policy_conditions import NUMBERS, WORDS, Condition, random_condition

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec

EFFECTS = ("read_only", "compensatable", "confirmation_required", "deny")
SPECULATE = ("now", "hold", "never")
TOOLS = ("book", "search", "mcp:x/one", "other")
PATTERNS = ("book", "search", "mcp:x/one", "mcp:x/*", "*", "b*", "*k")
UNREADABLE_ARGS = {"more": 2**70}


@dataclass(slots=True)
class Rule:
    """One rule with conditions that know their truth."""

    id: str
    when: Condition
    unless: Condition | None
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        return next(iter(self.body))

    def plain(self) -> dict[str, Any]:
        """As a policy file writes it."""
        made = {"id": self.id, "when": self.when.source, **self.body}
        return made if self.unless is None else {**made, "unless": self.unless.source}


@dataclass(slots=True)
class World:
    """A policy in parts, and the tools it speaks about."""

    defaults: dict[str, Any]
    entries: dict[str, dict[str, Any]]
    rules: dict[str, list[Rule]]
    tools: dict[str, ToolSpec] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As plain data, the way a policy file holds it."""
        tools = {
            name: {**said, "rules": [rule.plain() for rule in self.rules[name]]}
            for name, said in self.entries.items()
        }
        return {"version": 1, "defaults": self.defaults, "tools": tools}


def text(document: Mapping[str, Any]) -> str:
    """The document as a file; JSON is YAML."""
    return json.dumps(document, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Question:
    """A call and everything that is judged with it."""

    call: Call
    context: dict[str, Any]
    tainted: bool


def random_rule(dice: random.Random, name: str, kind: str = "") -> Rule:
    """A rule; `kind` chooses between require and allow."""
    kind = kind or dice.choice(("require", "require", "allow"))
    body: dict[str, Any] = {}
    if kind == "allow":
        body = {"speculate": dice.choice(("now", "now", "hold")), **_maybe(dice, 0.4, min_confidence=_share)}
    while not body:
        body = _maybe(
            dice,
            0.45,
            effect=lambda d: d.choices(EFFECTS, (1, 3, 2, 1))[0],
            speculate=lambda d: d.choice(("hold", "never")),
            min_confidence=_share,
            confirm=lambda d: "ask",
        )
    unless = random_condition(dice) if dice.random() < 0.35 else None
    return Rule(name, random_condition(dice), unless, {kind: body})


def _share(dice: random.Random) -> float:
    return round(dice.random(), 2)


def _maybe(dice: random.Random, chance: float, **makers: Any) -> dict[str, Any]:
    return {name: make(dice) for name, make in makers.items() if dice.random() < chance}


def random_world(dice: random.Random) -> World:
    """A policy of one to five entries with up to five rules each."""
    tools = {name: _tool(dice, name) for name in TOOLS}
    names = dice.sample(PATTERNS, dice.choice((1, 1, 2, 2, 3, 5)))
    defaults = _maybe(
        dice,
        0.3,
        unlisted_tools=lambda d: d.choice(("deny", "confirmation_required")),
        confirm_unlisted=lambda d: d.choice(("ask", "host")),
        trust_annotations=lambda d: d.random() < 0.5,
        speculation=lambda d: {"min_confidence": _share(d)},
        redact=lambda d: [d.choice(("args.fare", "args.amount", "result.token"))],
    )
    entries = {name: _entry(dice, name, tools) for name in names}
    rules = {
        name: [random_rule(dice, f"r{index}") for index in range(dice.choice((0, 1, 1, 2, 2, 5)))]
        for name in names
    }
    return World(defaults, entries, rules, tools)


def _tool(dice: random.Random, name: str) -> ToolSpec:
    annotation = Annotation(effect=EffectClass(dice.choice(EFFECTS))) if dice.random() < 0.4 else None
    return ToolSpec(
        name=name,
        annotation=annotation,
        injected=frozenset({"state"}) if dice.random() < 0.04 else frozenset(),
    )


def _entry(dice: random.Random, name: str, tools: Mapping[str, ToolSpec]) -> dict[str, Any]:
    made = _maybe(
        dice,
        0.3,
        speculate=lambda d: d.choices(SPECULATE, (4, 1, 1))[0],
        min_confidence=_share,
        confirm=lambda d: d.choice(("ask", "host")),
        predictors=lambda d: d.sample(("draft", "partial_call", "sniffer"), d.randint(0, 3)),
        destinations=lambda d: {"host": d.choice(("api.example", "*", "*.example"))},
    )
    if dice.random() < 0.85:
        made["effect"] = dice.choices(EFFECTS, (8, 6, 2, 1))[0]
    if dice.random() < 0.06:
        made["status"] = "proposed"
    if dice.random() < 0.55:
        source = dice.choice(("args.amount", "args.fare", "result.id", "'id'"))
        made["compensate"] = {"tool": "other", "with": {"id": source}}
    if dice.random() < 0.1 and name in tools:
        made["reviewed"] = tools[name].schema_hash if dice.random() < 0.7 else "0" * 64
    return made


def random_question(dice: random.Random, world: World) -> Question:
    """A call near the constants of conditions: present, absent, of the wrong type, just beyond."""
    numbers = (*NUMBERS, dice.randint(-5, 1500), dice.choice(NUMBERS) + dice.choice((-1, 1, 0.5, -0.5)))
    wrong = (None, True, "x", [1], {"x": 1}, 3)
    makers: dict[str, Any] = {
        "amount": lambda: dice.choice(numbers),
        "fare": lambda: dice.choice((*WORDS, *WORDS, "http://h.example/p", "one two three four five six")),
        "count": lambda: dice.choice((0, 1, 2, 3, 4)),
        "flag": lambda: dice.random() < 0.5,
        "tags": lambda: dice.sample(("x", "xy", "z"), dice.randint(0, 3)),
        "deep": lambda: {"x": dice.choice(numbers)} if dice.random() < 0.8 else {},
        "zero": lambda: 0,
    }
    args = {
        name: dice.choice(wrong) if dice.random() < 0.1 else make()
        for name, make in makers.items()
        if dice.random() < 0.8
    }
    context: dict[str, Any] = _maybe(
        dice,
        0.7,
        role=lambda d: d.choice((*WORDS[2:5], 3, None)),
        level=lambda d: d.choice(numbers),
        user=lambda d: d.choice(({"tier": d.choice(WORDS)}, {"tier": d.choice(numbers)}, {}, 3)),
    )
    return Question(Call(tool=dice.choice(TOOLS), args=args), context, dice.random() < 0.15)


# What the design says, sentence by sentence, without looking at the judge.


@dataclass(frozen=True, slots=True)
class Expected:
    """`effect` is exact; `speculate` and `confidence` are the least strict that may be answered."""

    declared: int
    effect: int
    speculate: int
    confidence: float


def expected(world: World, question: Question, *, readable: bool = True) -> Expected:
    """The verdict that policy.md promises; `readable` False: no condition can be evaluated."""
    name = question.call.tool
    tool = world.tools[name]
    mine = matching(world, name)
    names = {"args": question.call.args, "context": question.context} if readable else None
    unlisted = EFFECTS.index(world.defaults.get("unlisted_tools", "confirmation_required"))
    floor = EFFECTS.index(tool.annotation.effect) if tool.annotation else None
    declared = [
        level
        for pattern in mine
        if (level := _declared(world.entries[pattern], tool, floor, unlisted)) is not None
    ]
    if declared:
        effect = max(declared)
    elif floor is not None and world.defaults.get("trust_annotations", True):
        effect = floor
    else:
        effect = max(unlisted, floor or 0)
    said = effect
    requires = [
        rule.body["require"]
        for pattern in mine
        for rule in world.rules[pattern]
        if rule.kind == "require"
        and rule.when.truth(names) is not False
        and not (rule.unless is not None and rule.unless.truth(names) is True)
    ]
    effect = max([effect, *(EFFECTS.index(body["effect"]) for body in requires if "effect" in body)])
    speculate, confidence = _when(world, mine, effect, names)
    return Expected(
        declared=said,
        effect=effect,
        speculate=max(
            [speculate, *(SPECULATE.index(body["speculate"]) for body in requires if "speculate" in body)]
        ),
        confidence=max([confidence, *(body.get("min_confidence", 0.0) for body in requires)]),
    )


def matching(world: World, name: str) -> list[str]:
    """The patterns of the entries that speak about the tool."""
    return [
        pattern for pattern in world.entries if re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name)
    ]


def _declared(entry: Mapping[str, Any], tool: ToolSpec, floor: int | None, unlisted: int) -> int | None:
    effect = EFFECTS.index(entry["effect"]) if "effect" in entry else None
    reviewed = entry.get("reviewed") == tool.schema_hash
    if ("reviewed" in entry or entry.get("status") == "proposed") and not reviewed:
        return max(EFFECTS.index("confirmation_required"), unlisted, effect or 0, floor or 0)
    if effect is None or floor is None or reviewed:
        return effect
    return max(effect, floor)


def _when(world: World, mine: list[str], effect: int, names: Mapping[str, Any] | None) -> tuple[int, float]:
    default = world.defaults.get("speculation", {}).get("min_confidence", 0.6)
    if effect >= EFFECTS.index("confirmation_required"):
        return SPECULATE.index("never"), default
    usual = effect  # read_only is now, compensatable is hold
    words: list[tuple[int, float]] = []
    for pattern in mine:
        entry = world.entries[pattern]
        allows = [rule for rule in world.rules[pattern] if rule.kind == "allow"]
        if not allows and not entry.keys() & {"effect", "speculate", "min_confidence"}:
            continue
        least = entry.get("min_confidence", default)
        word, confidence = SPECULATE.index(entry["speculate"]) if "speculate" in entry else usual, least
        given = [
            (
                SPECULATE.index(rule.body["allow"]["speculate"]),
                max(least, rule.body["allow"].get("min_confidence", 0)),
            )
            for rule in allows
            if rule.when.truth(names) is True and (rule.unless is None or rule.unless.truth(names) is False)
        ]
        words.append(min([(word, confidence), *(loose for loose in given if loose[0] < word)]))
    if not words:
        return usual, default
    return max(word for word, _ in words), max(confidence for _, confidence in words)
