"""What the core reads about running a tool: from the YAML, the annotation, and the schemas."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import PolicyError
from specflow.policy import loads
from specflow.policy.compiled import Patch
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
  speculation: {min_confidence: 0.5, max_concurrent: 7, max_wasted_usd: 1.5, usd_per_second: 0.02,
    max_branches: 9, max_depth: 2, max_result_bytes: 1000, max_per_minute: 30, max_wasted_share: 0.75}
trusted_mcp_servers: [github]
tools:
  search:
    effect: read_only
    match: {mode: normalised, fields: {origin: upper}, ignore: [trace_id]}
    reads: ["flights:{args.origin}"]
    cache: {ttl: 60s, scope: tenant}
    limits: {max_concurrent: 3, cost_usd: 0.002, max_branches: 5, max_per_minute: 12}
    retries: {max: 2, backoff: 200ms}
    redact: [args.card.number]
  book:
    effect: compensatable
    timeout: 2m
    limits: {undo_usd: 0.3, visible_usd_per_second: 0.01}
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
    assert judge.budgets == Budgets(
        max_concurrent=7,
        max_wasted_usd=1.5,
        usd_per_second=0.02,
        max_branches=9,
        max_depth=2,
        max_result_bytes=1000,
        max_per_minute=30,
        max_wasted_share=0.75,
    )
    assert policy.trusted_mcp_servers == {"github"}
    search = policy.settings(ToolSpec(name="search"))
    assert search == ToolSettings(
        timeout=10.0,
        retries=2,
        backoff=0.2,
        match=Match(mode="normalised", fields={"origin": "upper"}, ignore=frozenset({"trace_id"})),
        reads=("flights:{args.origin}",),
        ttl=60.0,
        scope="tenant",
        cost_usd=0.002,
        max_concurrent=3,
        max_branches=5,
        max_per_minute=12,
        redact=("args.api_key", "args.card.number"),
    )
    book = policy.settings(ToolSpec(name="book"))
    assert (book.timeout, book.idempotency_key, book.writes) == (
        120.0,
        "request_id",
        ("seat:{args.flight_id}",),
    )
    assert (book.undo_usd, book.visible_usd) == (0.3, 0.01)
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


def test_budgets_and_limits_merge_to_the_strict_side(tmp_path: Any) -> None:
    from specflow.policy import load

    texts = (
        "version: 1\ndefaults: {speculation: {usd_per_second: 1, max_branches: 2, max_depth: 9}}\ntools: {t: {limits: {max_branches: 3, undo_usd: 1, visible_usd_per_second: 3}}}\n",
        "version: 1\ndefaults: {speculation: {usd_per_second: 2, max_branches: 1, max_per_minute: 5}}\ntools: {t: {limits: {max_branches: 4, undo_usd: 2, visible_usd_per_second: 2, max_per_minute: 7}}}\n",
    )
    for name, text in zip("ab", texts, strict=True):
        (tmp_path / f"{name}.yaml").write_text(text)
    policy = load(tmp_path)
    assert policy.budgets == Budgets(usd_per_second=1, max_branches=1, max_depth=9, max_per_minute=5)
    settings = policy.settings(ToolSpec(name="t"))
    assert (settings.max_branches, settings.max_per_minute) == (3, 7)
    assert (settings.undo_usd, settings.visible_usd) == (2, 3)


def test_undoing_costs_what_the_compensator_costs_where_nothing_else_is_said() -> None:
    text = "version: 1\ntools:\n  book: {effect: compensatable, compensate: {tool: undo, with: {id: args.id}}%s}\n  undo: {effect: confirmation_required, compensator_for: [book], limits: {cost_usd: 0.5}}\n"
    assert loads(text % "").settings(ToolSpec(name="book")).undo_usd == 0.5
    assert loads(text % ", limits: {undo_usd: 0}").settings(ToolSpec(name="book")).undo_usd == 0.0
    assert loads("version: 1\n").settings(ToolSpec(name="book")).undo_usd == 0.0


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


AMENDED = """
version: 1
tools:
  book:
    effect: compensatable
    writes: ["seat:{args.seat}"]
    compensate: {tool: cancel, with: {id: result.id}}
    patch: {tool: rename, fields: [guest], with: {id: result.id, guest: args.guest}}
  cancel: {effect: confirmation_required, compensator_for: [book]}
  rename: {effect: confirmation_required}
"""


def amended(*changes: tuple[str, str], **tools: ToolSpec) -> tuple[Any, str]:
    text = AMENDED
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    known = ToolRegistry(tools.values()) if tools else None
    plan = loads(text, tools=known).plan("book", tools.get("book"), registered=True)
    return plan.settings.patch, plan.no_patch


def test_a_patch_is_ready_to_use() -> None:
    patch, why = amended(("guest: args.guest}}", "guest: args.guest}, returns: patched.booking}"))
    assert why == ""
    assert (patch.tool, patch.fields) == ("rename", frozenset({"guest"}))
    assert {name: text.source for name, text in patch.arguments.items()} == {
        "id": "result.id",
        "guest": "args.guest",
    }
    assert patch.returns.source == "patched.booking"
    assert patch.effect is EffectClass.CONFIRMATION_REQUIRED
    compensatable = (("rename: {effect: confirmation_required}", "rename: {effect: compensatable}"),)
    assert amended(*compensatable)[0].effect is EffectClass.COMPENSATABLE
    assert loads(AMENDED).plan("rename", None, registered=True).settings.patch is None


def test_a_patch_that_must_not_be_used_says_why() -> None:
    rename = "rename: {effect: confirmation_required}"
    undo = "compensate: {tool: cancel, with: {id: result.id}}"
    for change, said in (
        ((rename, "rename: {effect: deny}"), "'rename', which amends it, is deny"),
        ((rename, "rename: {effect: read_only}"), "is read_only"),
        ((rename, "rename: {effect: compensatable, status: proposed}"), "nobody has reviewed it"),
        ((rename, "other: {effect: deny}"), "nothing says what 'rename' may do"),
        ((undo, "compensate: {tool: cancel, with: {id: args.guest}}"), "its undo reads args.guest"),
        (
            (undo, "compensate: {tool: cancel, with: {id: key, all: string(args)}}"),
            "its undo reads args.guest",
        ),
        (
            (undo, "compensate: {tool: cancel, with: {id: key}, succeeded_when: args.guest == 'x'}"),
            "its undo reads args.guest",
        ),
        ((undo, "timeout: 1s"), "nothing takes it back"),
        ((undo, f"redact: [args.guest]\n    {undo}"), "args.guest is redacted"),
        ((undo, f"redact: [result.token]\n    {undo}"), "result.token is redacted"),
        ((rename, "rename: {effect: confirmation_required, redact: [result.pin]}"), "result.pin is redacted"),
    ):
        patch, why = amended(change)
        assert patch is None, change
        assert said in why, (change, why)


def test_a_patch_is_checked_against_the_tools() -> None:
    def spec(name: str, *names: str, **more: Any) -> ToolSpec:
        properties = {name: {"type": "string"} for name in names}
        schema = {"type": "object", "properties": properties, "required": list(names)}
        return ToolSpec(name=name, parameters=schema, **more)

    tools = {"book": spec("book", "seat", "guest"), "cancel": spec("cancel", "id")}
    assert amended(**tools, rename=spec("rename", "id", "guest"))[1] == ""
    assert "requires 'why'" in amended(**tools, rename=spec("rename", "id", "guest", "why"))[1]
    injected = spec("rename", "id", "guest", injected=frozenset({"state"}))
    assert "takes state of the real run" in amended(**tools, rename=injected)[1]
    registry = ToolRegistry(tools.values())
    patch = Patch(tool="gone", fields=("guest",), arguments={})
    compiled = loads(AMENDED).compiled
    entry = dataclasses.replace(compiled.exact["book"][0], patch=patch)
    changed = dataclasses.replace(compiled, exact={**compiled.exact, "book": (entry,)})
    plan = Policy(changed, tools=registry).plan("book", tools["book"])
    assert plan.no_patch == "'gone', which amends it, is not a registered tool"
