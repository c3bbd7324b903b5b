"""Rules: what never counts, what changes nothing, what meets; and when lint keeps quiet."""

# ruff: noqa: E501 - tables of rules read best with a case per line

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import loads
from specflow.policy.cel_scan import tokenise
from specflow.policy.lint import lint
from specflow.policy.lint.atoms import _BeyondError, _Reader
from specflow.policy.load import survey
from specflow.policy.policy import Policy

A = "require: {speculate: hold}"
NOW = "allow: {speculate: now}"


def found(text: str, *tools: ToolSpec) -> list[str]:
    registry = ToolRegistry(tools) if tools else None
    loaded = survey(f"version: 1\ntools:\n{text}", tools=registry)
    assert loaded.compiled is not None, loaded.findings
    return [
        f"{item.code} {item.path}" for item in lint(Policy(loaded.compiled, tools=registry), loaded.reads)
    ]


def rules(*several: str, entry: str = "effect: read_only", tools: tuple[ToolSpec, ...] = ()) -> list[str]:
    lines = "".join(f"      - {{id: r{index}, {rule}}}\n" for index, rule in enumerate(several))
    text = f"  a:\n    {entry}\n" + (f"    rules:\n{lines}" if several else "")
    return [item.replace("tools.a.", "") for item in found(text, *tools)]


def tool(*required: str, **properties: Any) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec(name="a", parameters=parameters)


@pytest.mark.parametrize(
    "when",
    [
        "args.x > 5 && args.x < 5", "args.x == 'a' && args.x == 'b'", "!(args.x == 1 || args.x != 1)", "false",
        "args.x in []", "args.x in ['a', 'b'] && args.x == 'c'", "has(args.x) && !has(args.x)", "1 > 2",
        "args.x > 'b' && args.x < 'a'", "args.flag && !args.flag", "args.x == null && args.x == 1", "args.x > 3 && args.x < -3",
        'args["x"] > 5 && args["x"] < 5', "args.card.n > 5 && args.card.n < 5", "context.x == 1 && context.x == 2",
    ],
)  # fmt: skip
def test_conditions_that_are_never_true(when: str) -> None:
    quoted = "'" + when.replace("'", "''") + "'"
    assert rules(f"when: {quoted}, {A}") == ["SF101 rules[0].when"]


@pytest.mark.parametrize(
    "when",
    [
        "args.x > 5 && args.x < 6", "args.x >= 5 && args.x <= 5", "args.x != 'a' && args.x != 'b'", "args.x > 'a' && args.x < 'b'",
        "true", "args.x < 'a'", "!has(args.x)", "args.x == true || args.x == 1", "args.a == args.b && args.a != args.b",
        "size(args.x) > 5 && size(args.x) < 5", "args.x.matches('a') && !args.x.matches('a')", "args.x + 1 < args.x", "args[args.x] == 1",
        "args.x.y == 1 && args.x == 1", "args.x == 1.5", "context.user.role == 'agent'", "size(args) > 3", "args.x[0] == 1",
        "args.x in args.y", "-args.x > 5 && -args.x < 5", "args.x == [1] && args.x == [2]", "has(args.x) == true",
        "(args.x) == 1 && (args.x) == 2", "args.x == {'a': 1}.a && false", "5 < args.x && args.x < 7", "args.x == b'a'",
    ],
)  # fmt: skip
def test_conditions_of_which_nothing_is_claimed(when: str) -> None:
    """What may be true, and what lint cannot tell, is not called unreachable."""
    quoted = "'" + when.replace("'", "''") + "'"
    assert rules(f"when: {quoted}, {A}") == []


def test_the_schema_counts() -> None:
    number = {"type": "number", "maximum": 500}
    assert rules(f"when: args.x > 1000, {A}", tools=(tool("x", x=number),)) == ["SF101 rules[0].when"]
    assert rules(f"when: args.x > 499.9, {A}", tools=(tool("x", x=number),)) == []
    assert rules(f"when: args.x == 'c', {A}", tools=(tool("x", x={"enum": ["a", "b"]}),)) == [
        "SF101 rules[0].when"
    ]
    assert rules(f"when: args.x == 'b', {A}", tools=(tool("x", x={"enum": ["a", "b"]}),)) == []
    assert (
        rules(f"when: args.x == 'c', {A}", tools=(tool("x", x={"type": "string", "pattern": "a|b"}),)) == []
    )
    whole = (tool("x", x={"type": "integer"}),)
    assert rules(f"when: args.x > 3 && args.x < 4, {A}", tools=whole) == ["SF101 rules[0].when"]
    assert rules(f"when: args.x > 3.2 && args.x < 5.9, {A}", tools=whole) == []
    assert rules(f'when: "!has(args.x)", {A}', tools=(tool(x={"type": "integer"}),)) == []
    assert rules(f'when: "!has(args.x)", {A}', tools=(tool("x", x={"type": "integer"}),)) == [
        "SF101 rules[0].when"
    ]
    assert rules(f"when: args.x == 1, {A}", tools=(tool("x", x={"type": "nonsense"}),)) == []
    assert rules(f"when: args.x, {A}", tools=(tool("x", x={"type": ["boolean", "null"]}),)) == []


def test_unless_and_effects_count() -> None:
    assert rules(f"when: args.x > 5, unless: args.x > 3, {A}") == ["SF101 rules[0].when"]
    assert rules(f"when: args.x > 5, unless: args.x > 7, {A}") == []
    assert rules(f"when: args.x > 5, {NOW}", entry="effect: confirmation_required") == [
        "SF101 rules[0].allow"
    ]
    marked = ToolSpec(name="a", annotation=Annotation(effect=EffectClass.CONFIRMATION_REQUIRED))
    assert rules(f"when: args.x > 5, {NOW}", entry="timeout: 5s", tools=(marked,)) == ["SF101 rules[0].allow"]
    assert rules(f"when: args.x > 5, {NOW}", entry="timeout: 5s") == []


@pytest.mark.parametrize(
    ("several", "entry", "expected"),
    [
        ([f"when: args.x > 5, {NOW}"], "effect: read_only", [0]),
        ([f"when: args.x > 5, {NOW}"], "effect: read_only\n    speculate: hold", []),
        (["when: args.x > 5, allow: {speculate: hold}"], "effect: read_only\n    speculate: never", []),
        ([f"when: args.x > 5, {A}"], "effect: read_only\n    speculate: hold", [0]),
        (
            [f"when: args.x > 5, {A}", f"when: args.y > 5, {NOW}"],
            "effect: read_only\n    speculate: hold",
            [],
        ),
        (["when: args.x > 5, require: {effect: compensatable}"], "effect: confirmation_required", [0]),
        (["when: args.x > 5, require: {effect: deny}"], "effect: confirmation_required", []),
        (["when: args.x > 5, require: {speculate: never}"], "effect: confirmation_required", [0]),
        (["when: args.x > 5, require: {confirm: ask}"], "effect: confirmation_required", [0]),
        (["when: args.x > 5, require: {confirm: ask}"], "{effect: confirmation_required, confirm: host}", []),
        (
            ["when: args.x > 5, require: {min_confidence: 0.5}"],
            "effect: read_only\n    min_confidence: 0.7",
            [0],
        ),
        (
            ["when: args.x > 5, require: {min_confidence: 0.9}"],
            "effect: read_only\n    min_confidence: 0.7",
            [],
        ),
        # One rule behind another.
        ([f"when: args.x > 5, {A}", f"when: args.x > 7, {A}"], "effect: read_only", [1]),
        ([f"when: args.x > 7, {A}", f"when: args.x > 5, {A}"], "effect: read_only", [0]),
        ([f"when: args.x > 5, {A}", f"when: args.x > 5, {A}"], "effect: read_only", [1]),
        ([f"when: args.x > 5, {A}", f'when: "!(args.x <= 5)", {A}'], "effect: read_only", [1]),
        # On text, the one cannot be evaluated and counts; the other is plainly false.
        ([f"when: args.x > 5, {A}", f"when: args.x > 5 && args.x != 'a', {A}"], "effect: read_only", [1]),
        ([f"when: args.x == 7, {A}", f"when: args.x > 5, {A}"], "effect: read_only", [0]),
        ([f"when: args.x > 7, {A}", f"when: args.x == 8, {A}"], "effect: read_only", [1]),
        (["when: args.x > 7, require: {effect: deny}", f"when: args.x > 8, {A}"], "effect: read_only", [1]),
        (
            ["when: args.x > 5, require: {confirm: ask}", "when: args.x > 5, require: {effect: deny}"],
            "effect: read_only",
            [],
        ),
        (
            ["when: args.x > 5, require: {speculate: never}", f"when: args.x > 7, {A}"],
            "effect: read_only",
            [1],
        ),
        (
            [f"when: args.x > 5, {A}", "when: args.x > 7, require: {min_confidence: 0.9}"],
            "effect: read_only",
            [],
        ),
        ([f"when: args.x > 5, {A}", f"when: size(args.x) > 7, {A}"], "effect: read_only", []),
        # Allows behind allows, and behind what takes them back.
        (
            [f"when: args.x > 5, {NOW}", f"when: args.x > 7, {NOW}"],
            "{effect: read_only, speculate: hold}",
            [1],
        ),
        (
            ["when: args.x > 5, allow: {speculate: now, min_confidence: 0.9}", f"when: args.x > 7, {NOW}"],
            "{effect: read_only, speculate: hold}",
            [],
        ),
        ([f"when: args.x > 7, {NOW}", f"when: args.x > 5, {A}"], "{effect: read_only, speculate: hold}", [0]),
        (
            [f"when: args.x > 7, {NOW}", "when: args.x > 5, require: {effect: deny}"],
            "{effect: read_only, speculate: hold}",
            [0],
        ),
        (
            [f"when: args.x > 7, {NOW}", "when: args.x > 5, require: {effect: compensatable}"],
            "{effect: read_only, speculate: hold}",
            [],
        ),
    ],
)
def test_rules_that_change_nothing(several: list[str], entry: str, expected: list[int]) -> None:
    entry = entry.strip("{}").replace(", ", "\n    ") if entry.startswith("{") else entry
    shadowed = [item for item in rules(*several, entry=entry) if item.startswith("SF102")]
    assert shadowed == [f"SF102 rules[{index}]" for index in expected]


def test_where_two_rules_meet() -> None:
    entry = "effect: read_only\n    speculate: hold"
    assert rules(f"when: args.x > 5, {NOW}", f"when: args.y > 5, {A}", entry=entry) == ["SF103 rules[0]"]
    assert rules(f"when: args.x > 5, {NOW}", f"when: args.x < 5, {A}", entry=entry) == []
    assert rules(f"when: args.x > 5, {NOW}", f"when: size(args.y) > 0, {A}", entry=entry) == [
        "SF103 rules[0]"
    ]
    assert rules(f"when: 'true', {NOW}", f"when: has(args.x), {A}", entry=entry) == ["SF103 rules[0]"]


def test_arguments_that_may_be_missing() -> None:
    number = {"type": "number"}
    known = (tool("y", x=number, y=number),)
    assert rules(f"when: args.x > 5, {A}", tools=known) == ["SF104 rules[0].when"]
    assert rules(f"when: args.y > 5, {A}", tools=known) == []
    assert rules(f"when: has(args.x) && args.x > 5, {A}", tools=known) == []
    assert rules(f'when: "!has(args.x) || args.x > 5", {A}', tools=known) == []
    # Guarded on the wrong side.
    assert rules(f"when: has(args.x) || args.x > 5, {A}", tools=known) == ["SF104 rules[0].when"]
    assert rules(f"when: args.y > 5 || args.x > 5, {A}", tools=known) == ["SF104 rules[0].when"]
    assert rules(f"when: args.y > 5, unless: args.x > 5, {A}", tools=known) == ["SF104 rules[0].unless"]
    text = (tool(x={"type": "string"}),)
    assert rules(f"when: args.x.startsWith('a'), {A}", tools=text) == ["SF104 rules[0].when"]
    assert rules(f"when: has(args.x) && args.x.startsWith('a'), {A}", tools=text) == []
    card = tool(card={"type": "object", "properties": {"n": number}, "required": ["n"]})
    assert rules(f"when: args.card.n > 5, {A}", tools=(card,)) == ["SF104 rules[0].when"]
    assert rules(f"when: has(args.card) && args.card.n > 5, {A}", tools=(card,)) == []
    # A condition that no value makes work is not one that absence breaks.
    assert rules(f"when: args.x.startsWith('a'), {A}", tools=(tool(x={"type": "boolean"}),)) == []
    assert rules(f"when: context.x > 5, {A}", tools=known) == []


def test_arguments_that_are_not_there() -> None:
    known = (tool("x", x={"type": "string"}, y={"type": "object", "properties": {"z": {}}}),)
    assert rules(f"when: args.z > 5, {A}", tools=known)[:1] == ["SF105 rules[0].when"]
    assert rules(f"when: has(args.y.w), {A}", tools=known) == ["SF105 rules[0].when"]
    entry = """effect: read_only
    reads: ["k:{args.x}", "k:{args.nope}", "k:{result.nope}"]
    writes: ["k:{args.nope}"]
    match: {mode: normalised, fields: {nope: upper}, ignore: [none]}
    patch: {tool: a, fields: [nope], with: {}}"""
    assert rules(entry=entry, tools=known) == [
        f"SF105 {place}"
        for place in ("reads[1]", "writes[0]", "match.fields.nope", "match.ignore[0]", "patch.fields[0]")
    ] + ["SF205 patch.with"]
    open_ended = ToolSpec(
        name="a", parameters={"type": "object", "properties": {"x": {}}, "additionalProperties": True}
    )
    assert rules(f"when: args.z > 5, {A}", tools=(open_ended,)) == []
    keyed = ToolSpec(
        name="a",
        parameters=known[0].parameters,
        annotation=Annotation(effect=EffectClass.READ_ONLY, idempotency_key="key"),
    )
    assert rules(entry='effect: read_only\n    reads: ["k:{args.key}"]', tools=(keyed,)) == []


def test_messages_say_what_was_probably_meant() -> None:
    registry = ToolRegistry([tool("amount", amount={"type": "number"})])
    text = f"version: 1\ntools:\n  a:\n    effect: read_only\n    rules:\n      - {{id: r, when: args.amuont > 5, {A}}}\n"
    loaded = survey(text, tools=registry)
    assert loaded.compiled is not None
    (finding,) = lint(Policy(loaded.compiled, tools=registry), loaded.reads)
    assert (
        str(finding)
        == "<text>:6:23 tools.a.rules[0].when: SF105 a has no argument 'amuont' (did you mean 'amount'?)"
    )


def test_text_that_ends_too_early_is_beyond_the_reader() -> None:
    for text in ("args.", "args.x ==", "has(", "args["):
        with pytest.raises(_BeyondError):
            _Reader(tokenise(text)).whole()


# --- properties: nothing is claimed that a call disproves ---------------------------------------------

FIELDS = st.sampled_from(["args.x", "args.y"])
ATOMS = st.one_of(
    st.builds(
        "{} {} {}".format, FIELDS, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), st.integers(-2, 3)
    ),
    st.builds("{} == '{}'".format, FIELDS, st.sampled_from("ab")),
    st.builds("{} in [1, 2]".format, FIELDS),
    st.builds("has({})".format, FIELDS),
    FIELDS,
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=4,
)
VALUES = st.one_of(
    st.integers(-4, 5), st.floats(-4, 5), st.sampled_from(["a", "b", "", "c", True, False, None])
)
CALLS = st.lists(st.fixed_dictionaries({}, optional={"x": VALUES, "y": VALUES}), min_size=5, max_size=25)
DEMANDS = st.sampled_from([A, "require: {effect: deny}", "require: {speculate: never}", NOW])


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@given(st.lists(st.tuples(CONDITIONS, DEMANDS), min_size=1, max_size=3), CALLS)
@settings(deadline=None, max_examples=150)
def test_removing_a_rule_that_changes_nothing_changes_nothing(
    several: list[tuple[str, str]], calls: list[dict[str, Any]]
) -> None:
    def policy(skip: int) -> tuple[str, Policy]:
        lines = [
            f"      - {{id: r{index}, when: {quoted(when)}, {demand}}}\n"
            for index, (when, demand) in enumerate(several)
            if index != skip
        ]
        text = "version: 1\ntools:\n  a:\n    effect: read_only\n    speculate: hold\n    rules:\n" + "".join(
            lines
        )
        text = text if lines else text.replace("    rules:\n", "")
        return text, loads(text)

    text, whole = policy(-1)
    loaded = survey(text)
    for finding in lint(whole, loaded.reads):
        if finding.code not in {"SF101", "SF102"}:
            continue
        index = int(finding.path.partition("rules[")[2].partition("]")[0])
        _, without = policy(index)
        for args in calls:
            call = Call(tool="a", args=args)
            before, after = (one.judge(ToolSpec(name="a"), call, context={}) for one in (whole, without))
            if finding.code == "SF101" and any(
                reason.code == f"r{index}" and "evaluated" in reason.message for reason in before.reasons
            ):
                # Never true, and still counting where it cannot be evaluated: mending it is the author's.
                continue
            assert (before.effect, before.speculate) == (after.effect, after.speculate), (finding, args)
