"""`compare` finds the call that one policy permits and the other did not, wherever it hides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import Policy, loads
from specflow.policy.diff import Loosening, Report, compare
from specflow.policy.diff.calls import asked

PAY = ToolSpec(
    name="pay",
    parameters={
        "type": "object",
        "properties": {
            "amount": {"type": "number", "minimum": 0},
            "currency": {"type": "string", "enum": ["EUR", "USD", "CHF"]},
            "note": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "to": {"$ref": "#/$defs/Account"},
        },
        "required": ["amount", "currency"],
        "$defs": {"Account": {"type": "object", "properties": {"country": {"type": "string"}}}},
    },
)
TOOLS = ToolRegistry([PAY])


def policy(body: str, tools: ToolRegistry | None = None) -> Policy:
    return loads(f"version: 1\ntools:\n  pay:\n    effect: read_only\n{body}\n", tools=tools)


def rule(when: str, then: str = "require: {effect: confirmation_required}", unless: str = "") -> str:
    more = f"        unless: {json.dumps(unless)}\n" if unless else ""
    return f"    rules:\n      - id: r\n        when: {json.dumps(when)}\n{more}        {then}"


def found(old: str, new: str, *, tools: ToolRegistry | None = TOOLS, **options: Any) -> Report:
    return compare(policy(old, tools), policy(new, tools), tools=tools, **{"calls": 700, **options})


def only(report: Report, kind: str) -> Loosening:
    several = [item for item in report.looser if item.kind == kind]
    assert len(several) == 1, [(item.kind, item.asked.call) for item in report.looser]
    return several[0]


def proven(report: Report, old: Policy, new: Policy) -> None:
    """Each reported call really is judged as the report says."""
    for item in (*report.looser, *report.tighter):
        for policy_, verdict in ((old, item.old), (new, item.new)):
            again = policy_.explain(item.asked.call, context=item.asked.context, tainted=item.asked.tainted)
            assert again == verdict


HIDDEN = [
    # A boundary moved by one, to the other side, by a half.
    (rule("args.amount > 1000"), rule("args.amount > 1001"), {"amount": 1001}),
    (rule("args.amount >= 1000"), rule("args.amount > 1000"), {"amount": 1000}),
    (rule("args.amount > 1000"), rule("args.amount >= 1000.5"), {"amount": 1000.25}),
    (rule("1000 < args.amount"), rule("1002 < args.amount"), {"amount": 1001}),
    # An optional field, a type, a member of a list, a field inside, a text.
    (rule("args.note == 'x' || args.amount < 0"), rule("has(args.note) && args.note == 'x'"), {}),
    (rule("args.amount > 1000"), rule("type(args.amount) == int && args.amount > 1000"), {}),
    (rule("args.currency != 'EUR'"), rule("!(args.currency in ['EUR', 'CHF'])"), {"currency": "CHF"}),
    (rule("'vip' in args.tags"), rule("'VIP' in args.tags"), {"tags": ["vip"]}),
    (rule("args.to.country == 'KP'"), rule("args.to.country == 'kp'"), {"to": {"country": "KP"}}),
    (rule("size(args.note) > 20"), rule("size(args.note) > 21"), {"note": "x" * 21}),
    (rule("args.note.startsWith('refund')"), rule("args.note.startsWith('refunds')"), {}),
    (rule("args.note.matches('^[A-Z]{3}-urgent$')"), rule("false"), {}),
    # Several conditions at once.
    (
        rule("args.amount == 777 && args.currency == 'CHF' && args.note == 'abc' && args.to.country == 'FR'"),
        rule("args.amount == 777 && args.currency == 'CHF' && args.note == 'abc' && args.to.country == 'ZZ'"),
        {"to": {"country": "FR"}},
    ),
    # The rule is gone; its exception has grown.
    (rule("args.amount > 1000"), "", {}),
    (rule("args.amount > 5"), rule("args.amount > 5", unless="args.currency == 'USD'"), {"currency": "USD"}),
    (
        rule("true", unless="args.amount == 3"),
        rule("true", unless="args.amount == 3 || args.amount == 41"),
        {"amount": 41},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "part"), HIDDEN)
def test_a_loosening_is_found_wherever_it_hides(old: str, new: str, part: dict[str, Any]) -> None:
    report = found(old, new)
    item = only(report, "unconfirmed")
    assert part.items() <= item.asked.call.args.items()
    assert item.old.effect is EffectClass.CONFIRMATION_REQUIRED
    assert item.new.effect is EffectClass.READ_ONLY
    assert report.loosened
    proven(report, policy(old, TOOLS), policy(new, TOOLS))
    # Found the other way round, too, and then it is tighter.
    turned = found(new, old)
    assert "unconfirmed" in {one.kind for one in turned.tighter}


@pytest.mark.parametrize(("old", "new", "part"), HIDDEN)
def test_it_is_found_without_schemas(old: str, new: str, part: dict[str, Any]) -> None:
    assert only(found(old, new, tools=None), "unconfirmed").fits is None


def test_a_context_value_is_found_and_is_not_an_argument() -> None:
    unless = "context.user.role == 'agent'"
    more = f"{unless} || context.user.role == 'intern'"
    report = found(rule("args.amount > 5", unless=unless), rule("args.amount > 5", unless=more))
    item = only(report, "unconfirmed")
    assert item.asked.context == {"user": {"role": "intern"}}


def test_a_type_error_that_no_longer_counts_is_found() -> None:
    # `args.amount > 1000` cannot be evaluated for a text, so OLD asks; NEW looks at the type first.
    report = found(rule("args.amount > 1000"), rule("type(args.amount) != string && args.amount > 1000"))
    item = only(report, "unconfirmed")
    assert isinstance(item.asked.call.args["amount"], str)
    assert item.fits is False


def test_the_smallest_call_is_shown() -> None:
    report = found(rule("args.amount > 1000"), rule("args.amount > 2000"), tools=None)
    assert only(report, "unconfirmed").asked.call.args == {"amount": 1001}
    fitting = only(found(rule("args.amount > 1000"), rule("args.amount > 2000")), "unconfirmed")
    assert fitting.fits
    assert set(fitting.asked.call.args) == {"amount", "currency"}


KINDS = [
    ("    speculate: hold", "    speculate: now", "early"),
    ("    speculate: never", "    speculate: hold", "held"),
    ("    min_confidence: 0.9", "    min_confidence: 0.8", "confidence"),
    ("    predictors: [draft]", "    predictors: [draft, sniffer]", "predictors"),
    ("    predictors: [draft]", "", "predictors"),
    (rule("true", "require: {effect: deny}"), rule("true"), "permitted"),
    ("    confirm: ask\n" + rule("true"), "    confirm: host\n" + rule("true"), "unasked"),
    (rule("args.amount < 3", "require: {min_confidence: 0.9}"), "", "confidence"),
    (
        "    speculate: hold\n" + rule("args.amount < 3", "allow: {speculate: now}"),
        "    speculate: hold\n" + rule("args.amount < 4", "allow: {speculate: now}"),
        "early",
    ),
    ("    destinations: {host: a.example}", "    destinations: {host: [a.example, b.example]}", "early"),
    ("", "    destinations: {host: a.example}", "early"),
    ("    destinations: {host: '*'}", "    destinations: {host: a.example}", "early"),
]


@pytest.mark.parametrize(("old", "new", "kind"), KINDS)
def test_each_kind_of_loosening(old: str, new: str, kind: str) -> None:
    item = only(found(old, new), kind)
    assert item.kind == kind
    turned = found(new, old)
    assert kind in {one.kind for one in turned.tighter}


def test_only_a_tainted_call_shows_it() -> None:
    item = only(found("    destinations: {host: '*'}", "    destinations: {host: '*.example'}"), "early")
    assert item.asked.tainted


def test_two_tools_whose_undo_needs_an_argument() -> None:
    def with_undo(source: str) -> str:
        undo = f"    compensate: {{tool: cancel, with: {{id: {json.dumps(source)}}}}}"
        return f"    speculate: now\n{undo}\n" + rule("true", "require: {effect: compensatable}")

    report = compare(policy(with_undo("args.id")), policy(with_undo("'fixed'")))
    assert "early" in {item.kind for item in report.looser}
    assert ("compensate", "changed") in {(item.setting, item.direction) for item in report.changes}


def test_what_means_the_same_is_not_searched() -> None:
    one = policy(rule("args.amount > 5"))
    two = policy("    # a comment\n" + rule("args.amount > 5"))
    report = compare(one, two)
    assert not report.loosened
    assert all(tried.same and tried.calls == 0 for tried in report.tried)


def test_unlisted_tools_and_patterns_are_tried() -> None:
    old = loads("version: 1\ndefaults: {unlisted_tools: deny}\ntools:\n  'mcp:x/*': {effect: deny}\n")
    new = loads("version: 1\ntools:\n  'mcp:x/*': {effect: read_only}\n")
    report = compare(old, new)
    shown = {(item.tool, item.kind) for item in report.looser}
    assert ("a_tool_that_neither_lists", "permitted") in shown
    assert ("mcp:x/any", "unconfirmed") in shown
    assert any("pattern" in text for text in report.not_proven)


def test_inline_tests_are_tried_first() -> None:
    body = "\ntests:\n  - {name: t, call: {tool: pay, args: {code: Zq7}}, expect: {effect: read_only}}\n"
    old = loads("version: 1\ntools:\n  pay:\n    effect: read_only\n" + rule("size(args) != 1") + body)
    new = loads("version: 1\ntools:\n  pay:\n    effect: read_only\n")
    report = compare(old, new, calls=2)
    assert {item.kind for item in compare(new, old, calls=2).tighter} >= {"unconfirmed"}
    assert report.tried[-1].calls == 2
    assert any("reads all of it at once" in text for tried in report.tried for text in tried.unvaried)


def test_calls_are_written_as_explain_takes_them() -> None:
    unless = "context.user.role == 'agent'"
    report = found(rule("true", unless=unless), rule("true", unless=f"{unless} || context.user.role == 'x'"))
    assert '"context": {"user": {"role": "x"}}}' in "\n".join(report.lines())
    tainted = found("    destinations: {host: '*'}", "    destinations: {host: '*.example'}")
    assert '"tainted": true}' in "\n".join(tainted.lines())
    wrong = found(rule("args.amount > 1000"), rule("type(args.amount) != string && args.amount > 1000"))
    assert "(these arguments do not fit the tool's schema)" in "\n".join(wrong.lines())


def test_a_field_may_stand_inside_another() -> None:
    inside: dict[str, Any] = {"a": {"b": 1}}
    made = asked("t", {("args", "to"): inside, ("args", "to", "a", "c"): 2})
    assert made is not None
    assert made.call.args == {"to": {"a": {"b": 1, "c": 2}}}
    assert inside == {"a": {"b": 1}}
    made = asked("t", {("args", "to"): 5, ("args", "to", "country"): "KP"})
    assert made is not None
    assert made.call.args == {"to": 5}
    assert asked("t", {("args", "x"): float("nan")}) is None


def test_a_budget_is_kept_and_told() -> None:
    report = found(rule("args.amount > 1000"), rule("args.amount > 1001"), calls=7)
    assert [tried.calls for tried in report.tried] == [7]
    assert report.tried[0].covered < report.tried[0].pairs
    assert "pay: 7 calls" in "\n".join(report.lines())


def test_the_same_seed_gives_the_same_report() -> None:
    old, new = rule("args.amount > 10"), rule("args.amount > 20 && args.currency == 'USD'")
    one, two = found(old, new, seed=5), found(old, new, seed=5)
    assert one.as_dict() == two.as_dict()
    assert list(one.lines()) == list(two.lines())


def test_what_could_not_be_varied_is_told() -> None:
    tool = ToolSpec(
        name="pay",
        parameters={
            "type": "object",
            "properties": {
                "free": {"type": "object"},
                "odd": {},
                "code": {"type": "string", "pattern": "^[A-Z]+$"},
                "lost": {"$ref": "#/$defs/Nowhere"},
            },
        },
    )
    registry = ToolRegistry([tool])
    report = found(rule("args.free.items[0] > 1"), "", tools=registry)
    told = "\n".join(report.tried[0].unvaried)
    for part in ("args.free:", "args.odd:", "args.code:", "args.lost:", "by position"):
        assert part in told


def test_annotations_count_when_the_tools_are_known() -> None:
    tool = ToolSpec(
        name="pay", parameters=PAY.parameters, annotation=Annotation(effect=EffectClass.READ_ONLY)
    )
    registry = ToolRegistry([tool])
    listed = loads(
        "version: 1\ntools:\n  pay: {effect: deny}\n  ghost: {effect: read_only}\n", tools=registry
    )
    silent = loads("version: 1\n", tools=registry)
    report = compare(listed, silent, tools=registry)
    assert "early" in {item.kind for item in report.looser}
    assert any("ghost" in text for text in report.not_proven)


# Properties. Conditions are drawn over few fields, so that rules meet.

CONDITIONS = st.builds(
    lambda path, mark, value: f"{path} {mark} {value}",
    st.sampled_from(["args.a", "args.b", "args.c.d", "context.e"]),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.integers(-3, 60) | st.sampled_from(["'x'", "2.5"]),
)
WHENS = CONDITIONS | st.builds(lambda a, b, op: f"({a}) {op} ({b})", CONDITIONS, CONDITIONS, st.sampled_from(["&&", "||"]))  # fmt: skip  # noqa: E501
BODIES = st.sampled_from(
    [
        {"require": {"effect": "confirmation_required"}}, {"require": {"effect": "deny"}},
        {"require": {"speculate": "never"}}, {"require": {"min_confidence": 0.9}},
        {"allow": {"speculate": "now"}},
    ]
)  # fmt: skip


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    rules = []
    for index, body in enumerate(draw(st.lists(BODIES, max_size=3))):
        made = {"id": f"r{index}", "when": draw(WHENS), **body}
        if draw(st.booleans()):
            made["unless"] = draw(WHENS)
        rules.append(made)
    entry: dict[str, Any] = {"effect": draw(st.sampled_from(["read_only", "compensatable"])), "rules": rules}
    if draw(st.booleans()):
        entry["speculate"] = draw(st.sampled_from(["now", "hold", "never"]))
    return entry


def of(entry: dict[str, Any]) -> Policy:
    return loads(json.dumps({"version": 1, "tools": {"t": entry}}) + "\n")


@given(entries(), st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_a_policy_is_no_looser_than_itself(entry: dict[str, Any], seed: int) -> None:
    # Another rule that never holds, so that the search has to be made.
    idle = {"id": "idle", "when": "false", "allow": {"speculate": "now"}}
    report = compare(of(entry), of({**entry, "rules": [*entry["rules"], idle]}), calls=200, seed=seed)
    assert report.looser == report.tighter == ()
    assert not report.loosened
    assert not compare(of(entry), of(entry), calls=50).loosened


@given(entries(), WHENS, BODIES.filter(lambda body: "require" in body), st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_adding_a_require_is_no_loosening(
    entry: dict[str, Any], when: str, body: dict[str, Any], seed: int
) -> None:
    more = {"id": "more", "when": when, **body}
    report = compare(of(entry), of({**entry, "rules": [*entry["rules"], more]}), calls=200, seed=seed)
    assert report.looser == ()
    assert not report.loosened


@given(entries(), WHENS, st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_a_planted_loosening_is_found(entry: dict[str, Any], when: str, seed: int) -> None:
    """A require for deny is taken away: any call for which it alone made the difference is one."""
    planted = {"id": "planted", "when": when, "require": {"effect": "deny"}}
    old, new = of({**entry, "rules": [*entry["rules"], planted]}), of(entry)
    report = compare(old, new, calls=500, seed=seed)
    # The empty call cannot be evaluated, so OLD denies it; NEW denies it only by another rule.
    empty = Call(tool="t")
    if old.explain(empty).effect is not new.explain(empty).effect:
        assert report.looser
    proven(report, old, new)
