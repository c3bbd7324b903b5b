"""What the core reads about running a tool: from the YAML, the annotation, and the schemas."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

from typing import Any

import pytest

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import PolicyError
from specflow.policy import loads
from specflow.policy.condition import Cel
from specflow.policy.duration import seconds
from specflow.policy.mapping import check_template
from specflow.policy.policy import Policy
from specflow.policy.settings import Budgets, Judge, Match, ToolSettings

FULL = """
version: 1
defaults:
  timeout: 10s
  redact: [args.api_key]
  speculation: {min_confidence: 0.5, max_concurrent: 7, max_wasted_usd: 1.5}
trusted_mcp_servers: [github]
tools:
  search:
    effect: read_only
    match: {mode: normalised, fields: {origin: upper}, ignore: [trace_id]}
    reads: ["flights:{args.origin}"]
    cache: {ttl: 60s, scope: tenant}
    limits: {max_concurrent: 3, cost_usd: 0.002}
    retries: {max: 2, backoff: 200ms}
    redact: [args.card.number]
  book:
    effect: compensatable
    timeout: 2m
    idempotency_key: request_id
    writes: ["seat:{args.flight_id}"]
    compensate:
      tool: cancel
      with: {booking_id: result.booking_id, reason: '"rolled back"', key: key}
      succeeded_when: result.status == "cancelled"
      tolerates_missing: true
      within: 24h
    verify: {tool: find, with: {request_id: key}}
    patch: {tool: change, fields: [passenger], with: {id: result.id, passenger: args.passenger}}
"""


def parameters(*required: str, optional: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    names = (*required, *optional)
    return {"type": "object", "properties": {name: {} for name in names}, "required": list(required), **more}


def test_everything_written_arrives() -> None:
    policy = loads(FULL)
    judge: Judge = policy
    assert judge.budgets == Budgets(max_concurrent=7, max_wasted_usd=1.5)
    assert policy.trusted_mcp_servers == {"github"}
    search = policy.settings(ToolSpec(name="search"))
    assert search == ToolSettings(
        timeout=10.0,
        retries=2,
        backoff=0.2,
        match=Match(mode="normalised", fields={"origin": "upper"}, ignore=frozenset({"trace_id"})),
        reads=("flights:{args.origin}",),
        ttl=60.0,
        cost_usd=0.002,
        max_concurrent=3,
        redact=("args.api_key", "args.card.number"),
    )
    book = policy.settings(ToolSpec(name="book"))
    assert (book.timeout, book.idempotency_key, book.writes) == (
        120.0,
        "request_id",
        ("seat:{args.flight_id}",),
    )
    undo, verify = book.undo, book.verify
    assert undo is not None
    assert verify is not None
    assert (undo.tool, undo.tolerates_missing, undo.within, undo.needs_result) == (
        "cancel",
        True,
        86400.0,
        True,
    )
    names = {"args": {}, "result": {"booking_id": "B1", "status": "cancelled"}, "key": "k1"}
    assert {name: item.evaluate(names) for name, item in undo.arguments.items()} == {
        "booking_id": "B1", "reason": "rolled back", "key": "k1"
    }  # fmt: skip
    assert undo.succeeded_when is not None
    assert undo.succeeded_when.evaluate(names) is True
    assert verify.arguments["request_id"].evaluate({"args": {}, "key": "k1"}) == "k1"
    patch = policy.plan("book", ToolSpec(name="book")).patch
    assert patch is not None
    assert (patch.tool, patch.fields) == ("change", ("passenger",))


def test_a_verifier_that_could_not_be_called_is_none() -> None:
    find = ToolSpec(name="find", parameters=parameters("booking_id"))
    book = ToolSpec(name="book", parameters=parameters("flight_id"))
    text = (
        "version: 1\ntools: {{book: {{effect: compensatable, verify: {{tool: find, with: {{{}: key}}}}}}}}\n"
    )
    found = [
        loads(text.format(name), tools=ToolRegistry([book, find])).settings(book).verify
        for name in ("booking_id", "id")
    ]
    assert found[0] is not None
    assert found[1] is None


def test_where_nothing_is_said() -> None:
    policy = loads("version: 1\ntools: {a: {effect: read_only}}\n")
    assert policy.settings(ToolSpec(name="a")) == ToolSettings()
    assert policy.settings(ToolSpec(name="b")) == ToolSettings()
    assert policy.budgets == Budgets()


BOOK = ToolSpec(
    name="book",
    parameters=parameters("flight_id", "passenger", optional=("note",)),
    result={"type": "object", "properties": {"booking_id": {}, "fare": {}}, "required": ["booking_id"]},
    annotation=Annotation(
        effect=EffectClass.COMPENSATABLE, undo="cancel", verify="find", idempotency_key="request_id"
    ),
)


def derived(
    *needs: str, book: ToolSpec = BOOK, find: tuple[str, ...] = ("request_id",), yaml: str = "tools: {}"
) -> tuple[Policy, ToolSettings]:
    cancel = ToolSpec(name="cancel", parameters=parameters(*needs, optional=("why",)))
    lookup = ToolSpec(name="find", parameters=parameters(*find))
    policy = loads("version: 1\n" + yaml + "\n", tools=ToolRegistry([book, cancel, lookup]))
    return policy, policy.settings(book)


@pytest.mark.parametrize(
    ("needs", "sources"),
    [
        (("flight_id",), {"flight_id": 'args["flight_id"]'}),
        (
            ("booking_id", "passenger"),
            {"booking_id": 'result["booking_id"]', "passenger": 'args["passenger"]'},
        ),
        (("request_id",), {"request_id": "key"}),
        ((), {}),
        (("note",), None),
        (("fare",), None),
        (("unheard_of",), None),
        (('a"b',), None),
    ],
)
def test_an_undo_is_derived_only_when_every_required_parameter_is_sure(
    needs: tuple[str, ...], sources: Any
) -> None:
    policy, settings = derived(*needs, yaml="tools: {book: {speculate: now}}")
    verdict = policy.judge(BOOK, Call(tool="book", args={"flight_id": "F", "passenger": "P"}), context={})
    if sources is None:
        assert settings.undo is None
        assert verdict.speculate == "hold"
        assert "add `compensate.with`" in next(r.message for r in verdict.reasons if r.code == "no_undo")
    else:
        assert settings.undo is not None
        assert {name: item.source for name, item in settings.undo.arguments.items()} == sources
        assert verdict.speculate == "now"


def test_a_result_without_a_schema_is_not_guessed() -> None:
    bare = ToolSpec(name="book", parameters=BOOK.parameters, annotation=BOOK.annotation)
    assert derived("booking_id", book=bare)[1].undo is None


def test_a_verifier_is_derived_the_same_way() -> None:
    verify = derived("flight_id")[1].verify
    assert verify is not None
    assert verify.arguments["request_id"].source == "key"
    assert derived("flight_id", find=("booking_id",))[1].verify is None


def test_annotations_that_are_not_trusted_give_no_undo() -> None:
    _, settings = derived("flight_id", yaml="defaults: {trust_annotations: false}")
    assert (settings.undo, settings.verify, settings.idempotency_key) == (None, None, "")


def test_the_yaml_wins_over_the_annotation() -> None:
    yaml = "tools: {book: {idempotency_key: other, compensate: {tool: cancel, with: {flight_id: args.flight_id}}, verify: {tool: find, with: {request_id: key}}}}"
    _, settings = derived("flight_id", yaml=yaml)
    assert settings.idempotency_key == "other"
    assert settings.undo is not None
    assert settings.undo.arguments["flight_id"].source == "args.flight_id"


@pytest.mark.parametrize(
    ("compensate", "why"),
    [
        ("{tool: cancel, with: {}}", "requires 'flight_id', which is not mapped"),
        ("{tool: cancel, with: {flight_id: args.flight_id, x: key}}", "has no parameter 'x'"),
        ("{tool: cancel, with: {flight_id: args.fligth_id}}", "has no argument 'fligth_id'"),
    ],
)
def test_an_undo_that_could_not_be_called_is_none(compensate: str, why: str) -> None:
    policy, settings = derived(
        "flight_id",
        yaml=f"tools: {{book: {{effect: compensatable, speculate: now, compensate: {compensate}}}}}",
    )
    assert settings.undo is None
    assert why in policy.plan("book", BOOK).no_undo


def test_a_compensator_that_is_missing_or_denied_is_none() -> None:
    annotation = Annotation(effect=EffectClass.COMPENSATABLE, undo="gone", verify="gone")
    book = ToolSpec(name="book", annotation=annotation)
    policy = loads("version: 1\n", tools=ToolRegistry([book]))
    assert (policy.settings(book).undo, policy.settings(book).verify) == (None, None)
    assert "not a registered tool" in policy.plan("book", book).no_undo
    unknown = loads("version: 1\n")
    assert "not known" in unknown.plan("book", book).no_undo
    assert unknown.settings(book).verify is None
    denied, settings = derived("flight_id", yaml="tools: {cancel: {effect: deny}}")
    assert settings.undo is None
    assert "denied" in denied.plan("book", BOOK).no_undo


def test_who_may_undo_what() -> None:
    policy, _ = derived(
        "flight_id", yaml="tools: {refund: {effect: confirmation_required, compensator_for: [book]}}"
    )
    assert policy.compensates("cancel", "book", BOOK)
    assert policy.compensates("refund", "book", BOOK)
    assert not policy.compensates("find", "book", BOOK)
    assert not policy.compensates("refund", "pay")


def test_settings_follow_the_tool_that_is_asked_about() -> None:
    policy = loads("version: 1\n")
    keyed = ToolSpec(name="a", annotation=Annotation(effect=EffectClass.READ_ONLY, idempotency_key="k"))
    assert policy.settings(ToolSpec(name="a")).idempotency_key == ""
    assert policy.settings(keyed).idempotency_key == "k"
    assert policy.settings(keyed) is policy.settings(keyed)


def test_files_merge_to_the_strict_side(tmp_path: Any) -> None:
    from specflow.policy import load

    one = "version: 1\ndefaults: {timeout: 5s, redact: [args.a], speculation: {max_concurrent: 2, min_confidence: 0.9}}\ntrusted_mcp_servers: [a, b]\ntools:\n  t: {timeout: 3s, retries: {max: 1, backoff: 1s}, reads: ['x:{args.x}'], redact: [args.c], limits: {cost_usd: 1}, cache: {ttl: 5s}, predictors: [a, b], match: {mode: normalised}}\n"
    two = "version: 1\ndefaults: {timeout: 9s, redact: [args.b], speculation: {max_concurrent: 8, min_confidence: 0.1}}\ntrusted_mcp_servers: [b, c]\ntools:\n  t: {timeout: 8s, retries: {max: 3, backoff: 2s}, reads: ['y:{args.y}'], limits: {cost_usd: 2, max_concurrent: 2}, cache: {ttl: 9s}, predictors: [b, c]}\n  '?*': {}\n"
    (tmp_path / "a.yaml").write_text(one)
    (tmp_path / "b.yaml").write_text(two)
    policy = load(tmp_path)
    settings = policy.settings(ToolSpec(name="t"))
    assert (settings.timeout, settings.retries, settings.backoff) == (3.0, 1, 2.0)
    assert (settings.cost_usd, settings.max_concurrent, settings.ttl) == (2.0, 2, 5.0)
    assert settings.reads == ("x:{args.x}", "y:{args.y}")
    assert settings.redact == ("args.a", "args.b", "args.c")
    assert settings.match.mode == "normalised"
    assert policy.budgets.max_concurrent == 2
    assert policy.trusted_mcp_servers == {"b"}
    assert policy.compiled.defaults.min_confidence == 0.9
    assert policy.compiled.defaults.timeout == 5.0
    assert policy.plan("t", None).predictors == {"b"}


def test_patterns_of_equal_rank_match_exactly() -> None:
    policy = loads("version: 1\ntools: {'a*': {match: {mode: normalised}}, '*a': {match: {mode: exact}}}\n")
    assert policy.settings(ToolSpec(name="aa")).match.mode == "exact"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200ms", 0.2), ("10s", 10.0), ("1.5m", 90.0), ("24h", 86400.0), ("7d", 604800.0), (3, 3.0), (0.5, 0.5)],
)
def test_durations(text: Any, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["10", "s", "-1s", "1 s", "1S", "1e3s", "", None, True, -1, 0, 1e12, float("nan"), "٣s", [1]]
)
def test_what_is_no_duration(text: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        seconds(text)


def test_templates() -> None:
    assert (
        check_template("seat:{args.flight_id}-{ result.leg.id }") == "seat:{args.flight_id}-{ result.leg.id }"
    )
    for text in ("{args}", "{key.x}", "{args.x", "args.x}", "{}", " "):
        with pytest.raises(ValueError, match="must be"):
            check_template(text)


def test_an_unknown_tool_is_refused_only_where_its_user_exists() -> None:
    text = "version: 1\ntools: {book: {compensate: {tool: gone, with: {}}}}\n"
    loads(text)
    loads(text, tools=ToolRegistry([ToolSpec(name="other")]))
    with pytest.raises(PolicyError, match="unknown tool 'gone'"):
        loads(text, tools=ToolRegistry([BOOK]))


def test_expressions_fulfil_the_protocol() -> None:
    from specflow.policy.settings import Expression

    expression: Expression = Cel("args.a", frozenset({"args"}))
    assert Cel(expression.source, frozenset({"args"})).evaluate({"args": {"a": 1}}) == 1


def test_the_key_parameter_of_a_compensator_may_be_mapped() -> None:
    cancel = ToolSpec(
        name="cancel",
        parameters=parameters("why"),
        annotation=Annotation(effect=EffectClass.CONFIRMATION_REQUIRED, idempotency_key="request_id"),
    )
    text = "version: 1\ntools: {book: {compensate: {tool: cancel, with: {request_id: key, why: '\"x\"'}}}}\n"
    policy = loads(text, tools=ToolRegistry([BOOK, cancel, ToolSpec(name="find")]))
    assert policy.settings(BOOK).undo is not None
