"""Compensators, mappings, early runs and names, against tools that are known and tools that are not."""

# ruff: noqa: E501 - tables of entries read best with a case per line

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from specflow.effects.annotate import Annotation
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy.lint import lint
from specflow.policy.lint.shape import fits, look, name_of, resolve, types_of
from specflow.policy.lint.undo import UNDO_SECONDS
from specflow.policy.load import survey
from specflow.policy.policy import Policy

CONFIRM = Annotation(effect=EffectClass.CONFIRMATION_REQUIRED)
READ = Annotation(effect=EffectClass.READ_ONLY)


def spec(
    name: str,
    *required: str,
    result: Any = None,
    annotation: Annotation | None = None,
    hints: Any = None,
    **properties: Any,
) -> ToolSpec:
    shape = {
        "type": "object",
        "properties": {**{key: {} for key in required}, **properties},
        "required": list(required),
    }
    return ToolSpec(name=name, parameters=shape, result=result, annotation=annotation, hints=hints or {})


def found(text: str, *tools: ToolSpec, more: tuple[str, ...] = ()) -> list[str]:
    registry = ToolRegistry(tools) if tools else None
    loaded = survey(f"version: 1\ntools:\n{text}", tools=registry)
    assert loaded.compiled is not None, loaded.findings
    return [
        f"{item.code} {item.path}" for item in lint(Policy(loaded.compiled, tools=registry), loaded.reads)
    ]


CANCEL = "  cancel: {effect: confirmation_required, compensator_for: [book]}\n"


def undo(
    extra: str, *tools: ToolSpec, entry: str = "effect: compensatable", cancel: str = CANCEL
) -> list[str]:
    return found(f"  book: {{{entry}, compensate: {{tool: cancel, {extra}}}}}\n{cancel}", *tools)


# --- 2xx --------------------------------------------------------------------------------------------


def test_missing_compensators() -> None:
    assert found(
        "  a: {effect: compensatable, rules: [{id: r, when: args.x == 1, allow: {speculate: now, min_confidence: 0.9}}]}\n"
    ) == ["SF201 tools.a"]
    assert (
        found(
            "  a: {effect: compensatable}\n  'a*': {compensate: {tool: undo, with: {id: result.id}}}\n  undo: {effect: confirmation_required}\n"
        )
        == []
    )
    marked = Annotation(effect=EffectClass.COMPENSATABLE, undo="gone", transaction="db")
    early = "  a: {speculate: now, min_confidence: 0.9}\n"
    assert found(early, spec("a", annotation=marked)) == ["SF201 tools.a"]
    assert found("  a: {}\n", spec("a", annotation=marked)) == []
    assert (
        found(early + "  gone: {effect: confirmation_required}\n", spec("a", annotation=marked), spec("gone"))
        == []
    )


def test_compensators_that_nobody_classed() -> None:
    assert undo("with: {id: result.id}", cancel="") == ["SF202 tools.book.compensate.tool"]
    assert undo("with: {id: result.id}", cancel="  can*: {effect: confirmation_required}\n") == []
    assert undo("with: {}", spec("book"), spec("cancel", annotation=CONFIRM), cancel="") == [
        "SF204 tools.book.compensate"
    ]
    assert undo("with: {id: result.id}", spec("other"), cancel="") == ["SF401 tools", "SF402 tools.book"]


def test_circles() -> None:
    def chain(*names: str) -> str:
        pairs = zip(names, [*names[1:], names[0]], strict=True)
        return "".join(
            f"  {one}: {{effect: compensatable, compensate: {{tool: {other}, with: {{id: result.id}}}}}}\n"
            for one, other in pairs
        )

    assert found(chain("a")) == ["SF203 tools.a.compensate.tool"]
    # A move is taken back by moving back; anything but a change of places would make the call again.
    for mapping, circle in (
        ("source: args.to, to: args.source, repo: args.repo", False),
        ("source: args.source, to: args.to", True),
        ("source: args.to, to: args.from", True),
        ("source: args.to, to: args.source, mode: '1'", True),
        ("source: args.to, to: result.source", True),
    ):
        text = f"  a: {{effect: compensatable, compensate: {{tool: a, with: {{{mapping}}}}}}}\n"
        assert ("SF203 tools.a.compensate.tool" in found(text)) == circle
    assert found(chain("a", "b", "c")) == [f"SF203 tools.{name}.compensate.tool" for name in "abc"]
    # Into a circle, and not part of it.
    assert found(
        "  d: {effect: compensatable, compensate: {tool: a, with: {id: result.id}}}\n" + chain("a", "b")
    ) == [f"SF203 tools.{name}.compensate.tool" for name in "ab"]
    marked = Annotation(effect=EffectClass.COMPENSATABLE, undo="a")
    text = "  a: {effect: compensatable, compensate: {tool: b, with: {id: result.id}}}\n"
    assert found(text, spec("a"), spec("b", "id", annotation=marked)) == ["SF203 tools.a.compensate.tool"]


def test_compensators_that_could_undo_twice() -> None:
    assert undo("with: {id: args.id}") == ["SF204 tools.book.compensate"]
    assert undo("with: {id: args.id}, tolerates_missing: true") == []
    assert undo("with: {id: args.id, request: key}") == []
    assert undo("with: {id: result.id}") == []
    retried = "  cancel: {effect: confirmation_required, compensator_for: [book], retries: {max: 3}}\n"
    assert undo("with: {id: result.id}", cancel=retried) == ["SF204 tools.book.compensate"]
    assert undo("with: {id: result.id, request: key}", cancel=retried) == []
    hinted = (spec("book", "id"), spec("cancel", "id", hints={"idempotentHint": True}))
    assert undo("with: {id: args.id}", *hinted) == []
    assert found(f"  book: {{effect: compensatable, compensate: {{tool: cancel}}}}\n{CANCEL}", *hinted) == []


def test_windows() -> None:
    assert undo("with: {id: result.id}, within: 89s") == ["SF209 tools.book.compensate.within"]
    assert undo("with: {id: result.id}, within: 90s") == []
    assert undo("with: {id: result.id}, within: 40s", entry="effect: compensatable, timeout: 10s") == []
    assert undo("with: {id: result.id}, within: 39s", entry="effect: compensatable, timeout: 10s") == [
        "SF209 tools.book.compensate.within"
    ]


def test_the_time_of_an_undo_is_the_one_of_the_settlement() -> None:
    from specflow.settlement.undo import UNDO_TIMEOUT

    assert UNDO_SECONDS == UNDO_TIMEOUT


def test_verifiers() -> None:
    pay = "  pay: {effect: confirmation_required, verify: {tool: find, with: {id: key}}}\n"
    assert found(pay + "  find: {effect: compensatable}\n") == [
        "SF211 tools.pay.verify.tool",
        "SF201 tools.find",
    ]
    assert found(pay) == ["SF402 tools.pay.verify.tool"]
    assert found(pay, spec("pay"), spec("find", "id", annotation=READ)) == []
    assert found(pay, spec("pay"), spec("find", "id")) == ["SF401 tools"]


# --- mappings ---------------------------------------------------------------------------------------

BOOK = spec(
    "book", "flight", passenger={"type": "string"}, count={"type": "integer"},
    result={"type": "object", "properties": {"id": {"type": "string"}, "note": {"type": "string"}, "price": {"type": "number"}}, "required": ["id", "price"]},
)  # fmt: skip
DROP = spec(
    "cancel",
    "id",
    id={"type": "string"},
    times={"type": "integer"},
    ratio={"type": "number"},
    result={"type": "object", "properties": {"status": {}}, "required": ["status"]},
)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("with: {id: result.id}", []),
        ("with: {}, tolerates_missing: true", ["SF205 with"]),
        ("tolerates_missing: true", []),
        ("with: {id: result.id, why: key}", ["SF206 with.why"]),
        ("with: {id: result.nope}", ["SF206 with.id"]),
        ("with: {id: result.note}", ["SF206 with.id"]),
        ("with: {id: args.nope + key}", ["SF206 with.id"]),
        ("with: {id: key}, succeeded_when: result.status == 'x' && args.flight == 'y'", []),
        ("with: {id: key}, succeeded_when: result.state == 'x'", ["SF206 succeeded_when"]),
        ("with: {id: key}, succeeded_when: args.fligth == 'x' && key == 'y'", ["SF206 succeeded_when"]),
        ("with: {id: result.price}", ["SF207 with.id"]),
        ("with: {id: 'result[\"price\"]'}", ["SF207 with.id"]),
        ("with: {id: string(result.price)}", []),
        ("with: {id: result.id + args.passenger}", []),
        ("with: {id: '7'}, tolerates_missing: true", ["SF207 with.id"]),
        ("with: {id: '\"seven\"'}, tolerates_missing: true", []),
        ("with: {id: 'dyn(7)'}, tolerates_missing: true", ["SF207 with.id"]),
        ("with: {id: 'null'}, tolerates_missing: true", []),
        ("with: {id: args.flight}, tolerates_missing: true", []),
        ("with: {id: key, times: args.count}", []),
        ("with: {id: key, times: result.price}", []),
        ("with: {id: key, ratio: args.count}", []),
        ("with: {id: key, times: args.passenger}", ["SF207 with.times"]),
        ("with: {id: key, times: key}", ["SF207 with.times"]),
        ("with: {id: args}, tolerates_missing: true", ["SF207 with.id"]),
    ],
)  # fmt: skip
def test_mappings(extra: str, expected: list[str]) -> None:
    hits = [item.replace("tools.book.compensate.", "") for item in undo(extra, BOOK, DROP)]
    assert hits == expected


def test_mappings_that_are_derived() -> None:
    text = f"  book: {{effect: compensatable, compensate: {{tool: cancel}}}}\n{CANCEL}"
    assert found(text, BOOK, DROP) == []
    assert found(text, spec("book"), DROP) == ["SF205 tools.book.compensate"]
    assert found(text, DROP) == ["SF402 tools.book", "SF402 tools.cancel.compensator_for[0]"]
    find = "  pay: {effect: confirmation_required, verify: {tool: find}}\n  find: {effect: read_only, speculate: never}\n"
    assert found(find, spec("pay", "id"), spec("find", "id")) == []
    assert found(
        find, spec("pay", result={"properties": {"id": {}}, "required": ["id"]}), spec("find", "id")
    ) == ["SF205 tools.pay.verify"]


def test_mappings_of_tools_that_are_not_known() -> None:
    assert undo("with: {id: result.anything}") == []
    assert (
        undo("with: {id: args.anything, n: result.n}", ToolSpec(name="book"), ToolSpec(name="cancel")) == []
    )
    assert undo("with: {id: args.flight}, tolerates_missing: true", DROP) == [
        "SF402 tools.book",
        "SF402 tools.cancel.compensator_for[0]",
    ]
    keyed = ToolSpec(
        name="cancel",
        parameters=DROP.parameters,
        annotation=Annotation(effect=EffectClass.CONFIRMATION_REQUIRED, idempotency_key="request"),
    )
    assert undo("with: {id: result.id, request: key}", BOOK, keyed) == []


def test_redacted_fields() -> None:
    entry = "effect: compensatable, redact: [args.card.number]"
    assert undo("with: {id: args.card.number}, tolerates_missing: true", entry=entry) == [
        "SF208 tools.book.compensate.with"
    ]
    assert undo("with: {id: args.card}, tolerates_missing: true", entry=entry) == [
        "SF208 tools.book.compensate.with"
    ]
    assert undo("with: {id: args.card.name}, tolerates_missing: true", entry=entry) == []
    early = "effect: compensatable, speculate: now, min_confidence: 0.9, redact: [result.token]"
    assert undo("with: {id: result.id}", entry=early) == ["SF208 tools.book.speculate"]
    assert undo("with: {id: result.id}", entry="effect: compensatable, redact: [result.token]") == []
    assert undo("with: {id: result.token}", entry=early) == ["SF208 tools.book.compensate.with"]
    patch = "  a: {effect: read_only, redact: [args.x], patch: {tool: a, fields: [x], with: {x: args.x}}}\n"
    assert found(patch) == []


# --- 3xx --------------------------------------------------------------------------------------------


def test_confidence_of_early_writes() -> None:
    rule = "rules: [{id: r, when: args.x == 1, allow: {speculate: now}}]"
    tolerant = "with: {id: key}, tolerates_missing: true"
    assert undo(tolerant, entry=f"effect: compensatable, {rule}") == ["SF301 tools.book.rules[0].allow"]
    assert undo(tolerant, entry=f"effect: compensatable, min_confidence: 0.9, {rule}") == []
    assert undo("with: {id: result.id}", entry="effect: compensatable, speculate: hold") == []
    marked = Annotation(effect=EffectClass.COMPENSATABLE, undo="cancel", transaction="db")
    assert found(
        "  book: {speculate: now}\n" + CANCEL, spec("book", "id", annotation=marked), spec("cancel", "id")
    ) == ["SF301 tools.book.speculate"]


def test_caches_and_matches() -> None:
    writes = spec("a", annotation=Annotation(effect=EffectClass.COMPENSATABLE, undo="u"))
    assert found("  a: {cache: {ttl: 1s}}\n") == []
    assert found("  a: {cache: {ttl: 1s}}\n", writes) == ["SF302 tools.a.cache"]
    assert found("  a: {cache: {ttl: 1s}}\n", spec("a", annotation=READ)) == []
    assert found("  a: {verify_sample: 0.1}\n", writes) == ["SF302 tools.a.verify_sample"]
    version = "version: {tool: v, with: {}}"
    told = found(f"  a: {{{version}}}\n  v: {{effect: read_only}}\n", writes, spec("v", annotation=READ))
    assert told == ["SF302 tools.a.version"]
    assert found("  a: {effect: deny, match: {mode: normalised, ignore: [x]}}\n") == ["SF304 tools.a.match"]
    assert found("  a: {effect: deny, match: {mode: exact}}\n") == []
    assert found("  a: {effect: read_only, match: {ignore: [x]}}\n") == ["SF304 tools.a.match"]


def test_ignored_fields() -> None:
    match = "effect: read_only, match: {mode: normalised, ignore: [x, y]}"
    assert found(f"  a: {{{match}, reads: ['k:{{args.x}}']}}\n") == ["SF303 tools.a.match.ignore[0]"]
    assert found(f"  a: {{{match}, writes: ['k:{{args.y.z}}', 'l:{{result.x}}']}}\n") == [
        "SF303 tools.a.match.ignore[1]"
    ]
    allow = "rules: [{id: r, when: args.a == 1, unless: args.x == 1, allow: {speculate: now}}]"
    assert found(f"  a: {{{match}, speculate: hold, {allow}}}\n") == ["SF303 tools.a.match.ignore[0]"]
    # A rule of another entry that speaks about the tool.
    assert found(
        f"  a: {{{match}}}\n  'a*': {{rules: [{{id: r, when: args.y == 1, require: {{speculate: hold}}}}]}}\n"
    ) == ["SF303 tools.a.match.ignore[1]"]


@pytest.mark.parametrize(
    ("properties", "tells"),
    [
        ({"city": {"type": "string"}}, False), ({"imageUrl": {"type": "string"}}, True), ({"file_path": {}}, True), ({"paths": {"type": "array"}}, True),
        ({"where": {"type": "string", "format": "uri"}}, True), ({"where": {"type": "array", "items": {"format": "email"}}}, True), ({"q": {"type": "array", "items": 7}}, False),
        ({"path": {"enum": ["a", "b"]}}, False), ({"path": {"const": "a"}}, False), ({"file": {"type": "integer"}}, False), ({"file": {"type": ["integer", "null"]}}, False),
        ({"file": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, True), ({"profile": {"type": "string"}}, False), ({"body": {"$ref": "#/$defs/x"}}, True),
    ],
)  # fmt: skip
def test_destinations(properties: dict[str, Any], tells: bool) -> None:
    known = spec("a", **properties)
    assert found("  a: {effect: read_only}\n", known) == (["SF305 tools.a"] if tells else [])
    assert found("  a: {effect: read_only, destinations: {host: x.example}}\n", known) == []
    assert found("  a: {effect: read_only, speculate: hold}\n", known) == []
    assert found("  a: {effect: confirmation_required}\n", known) == []


def test_destinations_of_tools_that_are_not_known() -> None:
    assert found("  a: {effect: read_only, reads: ['page:{args.url}']}\n") == ["SF305 tools.a"]
    assert found(
        "  a: {effect: read_only, rules: [{id: r, when: args.email == 'x', require: {speculate: hold}}]}\n"
    ) == ["SF305 tools.a"]
    assert found("  a: {effect: read_only, reads: ['seat:{args.seat}']}\n") == []
    injected = ToolSpec(name="a", parameters=spec("a", url={}).parameters, injected=frozenset({"state"}))
    assert found("  a: {effect: read_only}\n", injected) == []
    assert found("  a: {timeout: 5s}\n", spec("a", "url", annotation=READ)) == ["SF305 tools.a"]


def test_one_finding_for_several_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(
            "version: 1\ntools: {a: {effect: read_only, reads: ['x:{args.url}']}}\n"
        )
    loaded = survey(tmp_path)
    assert loaded.compiled is not None
    assert [item.code for item in lint(Policy(loaded.compiled), loaded.reads)] == ["SF305"]


def test_what_a_body_calls() -> None:
    pay = "  pay: {effect: confirmation_required}\n"
    assert found("  a: {effect: read_only, calls: [pay]}\n" + pay) == ["SF306 tools.a.calls[0]"]
    assert found("  a: {effect: read_only, calls: [nowhere]}\n") == ["SF306 tools.a.calls[0]"]
    assert (
        found(
            "  a: {effect: read_only, calls: [b]}\n  b: {effect: read_only, calls: [b, a, c]}\n  c: {effect: read_only}\n"
        )
        == []
    )
    assert found("  a: {effect: confirmation_required, calls: [pay]}\n" + pay) == []
    assert found("  a: {effect: read_only, calls: [gone]}\n", spec("a")) == [
        "SF306 tools.a.calls[0]",
        "SF402 tools.a.calls[0]",
    ]


def test_what_looks_like_an_agent() -> None:
    for name in ("agent", "sub_agent_x", "ask-agent", "delegate"):
        assert found(f"  {name}: {{effect: read_only}}\n") == [f"SF307 tools.{name}"]
    for name in ("agenda", "find_reagents", "useragent_list"):
        assert found(f"  {name}: {{effect: read_only}}\n") == []
    described = ToolSpec(name="a", description="Hands the question to a sub-agent that searches.")
    assert found("  a: {effect: read_only}\n", described) == ["SF307 tools.a"]
    assert found("  a: {effect: read_only}\n", spec("a")) == []


# --- 4xx --------------------------------------------------------------------------------------------


def test_names() -> None:
    assert found("  a: {effect: deny}\n", spec("a"), spec("b", annotation=READ)) == []
    assert found("  a: {effect: deny}\n", spec("a"), spec("b"), spec("c")) == ["SF401 tools", "SF401 tools"]
    assert found("  'b*': {effect: deny}\n", spec("a", annotation=READ)) == ["SF402 tools.b*"]
    assert found("  a: {effect: deny, patch: {tool: b, fields: [x], with: {}}}\n") == [
        "SF402 tools.a.patch.tool"
    ]
    untrusting = survey(
        "version: 1\ndefaults: {trust_annotations: false}\n", tools=ToolRegistry([spec("a", annotation=READ)])
    )
    assert untrusting.compiled is not None
    policy = Policy(untrusting.compiled, tools=ToolRegistry([spec("a", annotation=READ)]))
    assert [item.code for item in lint(policy, untrusting.reads)] == ["SF401"]
    assert lint(policy, ()) == []


def test_reviews() -> None:
    known = spec("a", "x", annotation=CONFIRM)
    assert found(f"  a: {{effect: read_only, reviewed: {known.schema_hash}}}\n", known) == []
    assert found(f"  a: {{effect: read_only, reviewed: {'0' * 64}}}\n", known) == [
        "SF404 tools.a.effect",
        "SF403 tools.a.reviewed",
    ]
    assert found(f"  a: {{effect: read_only, reviewed: {'0' * 64}}}\n") == []
    assert found("  a: {effect: read_only, status: proposed}\n", spec("a")) == ["SF405 tools.a.status"]
    assert found("  a: {effect: read_only, status: reviewed}\n", spec("a")) == []


def test_contradictions() -> None:
    assert found("  a: {effect: read_only}\n", spec("a", annotation=CONFIRM)) == ["SF404 tools.a.effect"]
    assert found("  a: {effect: deny}\n", spec("a", annotation=READ)) == []
    for hints in (
        {"readOnlyHint": False},
        {"destructiveHint": True},
        {"readOnlyHint": True, "destructiveHint": True},
    ):
        assert found("  a: {effect: read_only}\n", spec("a", hints=hints)) == ["SF404 tools.a.effect"]
    assert (
        found("  a: {effect: read_only}\n", spec("a", hints={"readOnlyHint": True, "destructiveHint": None}))
        == []
    )
    assert found("  a: {effect: deny}\n", spec("a", hints={"readOnlyHint": True})) == []
    marked = Annotation(effect=EffectClass.COMPENSATABLE, undo="u", verify="v", idempotency_key="k")
    others = (spec("u"), spec("v"), spec("w", annotation=READ), spec("x"))
    listed = "  u: {effect: deny}\n  v: {effect: deny}\n  x: {effect: confirmation_required, compensator_for: [a]}\n"
    said = "compensate: {tool: x, with: {}, tolerates_missing: true}, verify: {tool: w, with: {}}, idempotency_key: other"
    assert found(f"  a: {{{said}}}\n{listed}", spec("a", annotation=marked), *others) == [
        "SF404 tools.a.compensate.tool", "SF404 tools.a.verify.tool", "SF404 tools.a.idempotency_key"
    ]  # fmt: skip


# --- shapes -----------------------------------------------------------------------------------------


def test_shapes() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "c": {"oneOf": [{"type": "string"}, {"type": "integer"}]}, "loop": {"$ref": "#/properties/loop"}, "gone": {"$ref": "#/nowhere/at/all"}},
        "required": ["a"],
        "$defs": {"A": {"type": "object", "properties": {"x": {"const": 5}, "y": {"enum": ["u", 1.5]}, "z": 7}, "required": ["x"]}},
    }  # fmt: skip
    assert look(schema, ("a", "x"))[:3] == (True, True, {"integer"})
    assert look(schema, ("a", "y"))[:3] == (True, False, {"string", "number"})
    assert look(schema, ("a", "z", "deeper"))[:2] == (True, True)
    assert look(schema, ("b",)).types == {"integer"}
    assert look(schema, ("c",)).types is None
    assert look(schema, ("loop",)).types is None
    assert look(schema, ("gone", "x")).present
    assert look(schema, ("nope",)).options == ("a", "b", "c", "loop", "gone")
    assert look(None, ("x",)).present
    assert look({"properties": {"a": {}}, "additionalProperties": {"type": "string"}}, ("b",)).present
    assert resolve({}, "text") == {}
    assert types_of({}, {"type": ["null"]}) is None
    assert [name_of(value) for value in (True, 1, 1.5, "x", None, {}, [])] == [
        "boolean",
        "integer",
        "number",
        "string",
        "null",
        "object",
        "array",
    ]
    assert fits(frozenset({"integer"}), frozenset({"number"}))
    assert not fits(frozenset({"string"}), frozenset({"number"}))


def test_what_a_patched_call_returns() -> None:
    def tools(*answered: str) -> tuple[ToolSpec, ...]:
        def result(*names: str) -> dict[str, Any]:
            return {"type": "object", "properties": {n: {"type": "string"} for n in names}, "required": names}

        return (
            spec("book", "guest", result=result("id", "guest")),
            spec("cancel", "id"),
            spec("rename", "id", "guest", result=result(*answered)),
        )

    def patched(returns: str, *answered: str) -> list[str]:
        patch = f"{{tool: rename, fields: [guest], with: {{id: result.id, guest: args.guest}}{returns}}}"
        entry = f"effect: compensatable, patch: {patch}"
        rename = CANCEL + "  rename: {effect: confirmation_required}\n"
        return undo("with: {id: result.id}", *tools(*answered), entry=entry, cancel=rename)

    assert patched("", "id", "guest") == []
    assert patched("", "guest") == ["SF214 tools.book.patch"]
    assert patched(", returns: 'patched.guest'", "guest") == []
    wrong = "SF206 tools.book.patch.returns"
    assert patched(", returns: 'patched.id'", "guest") == [wrong]
    assert patched(", returns: 'result.nothing'", "guest") == [wrong]
    assert patched(", returns: 'args.nothing'", "guest") == [wrong]


def test_transactions_that_do_not_hold() -> None:
    def found(entry: str, cancel: str = ", transaction: db") -> list[str]:
        tools = (spec("book", "seat", db={}), spec("cancel", "seat", db={}))
        known = f"  cancel: {{effect: confirmation_required, compensator_for: [book]{cancel}}}\n"
        return undo("with: {seat: args.seat}", *tools, entry=entry, cancel=known)

    assert found("effect: compensatable, transaction: db") == []
    assert found("effect: compensatable, transaction: other") == ["SF215 tools.book.transaction"]
    assert "SF215 tools.book.transaction" in found("effect: read_only, transaction: db")
    assert "SF216 tools.book.transaction" in found("effect: compensatable, transaction: db", "")


def test_how_long_an_answer_may_take_says_something_where_somebody_is_asked() -> None:
    for entry, codes in (
        ("effect: confirmation_required, confirm: ask", []),
        ("effect: confirmation_required, confirm: host", ["SF406 tools.a.confirm_within"]),
        ("effect: deny", ["SF406 tools.a.confirm_within"]),
        ("effect: read_only, rules: [{id: r, when: 'args.x > 1', require: {confirm: ask}}]", []),
    ):
        more = found(f"  a: {{{entry}, confirm_within: 1h}}\n")
        assert [code for code in more if code.startswith("SF406")] == codes, entry
