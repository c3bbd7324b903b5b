"""Settings that matter for safety, compared: which way each change goes."""

# ruff: noqa: E501 - tables of policies read best with a case per line

from __future__ import annotations

import pytest

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import Policy, loads
from specflow.policy.compiled import Destinations
from specflow.policy.condition import Cel
from specflow.policy.diff import compare
from specflow.policy.diff.atoms import atoms, patterns
from specflow.policy.diff.destinations import within
from specflow.policy.diff.domain import MOST_VALUES, UNREADABLE, domain
from specflow.policy.diff.near import Absent, around, between, of_size, sample_of
from specflow.policy.diff.schemas import MAX_FIELDS, fields_of
from specflow.policy.fields import ON_CALL

UNDO = "compensate: {tool: undo, with: {id: args.id}%s}"


def policy(entry: str, top: str = "") -> Policy:
    effect = "" if "effect:" in entry else "effect: compensatable, "
    return loads(f"version: 1\n{top}\ntools:\n  t: {{{effect}{entry}}}\n")


def changes(old: Policy, new: Policy) -> dict[str, str]:
    return {
        f"{item.tool}.{item.setting}".lstrip("."): item.direction
        for item in compare(old, new, calls=1).changes
    }


PAIRS = [
    ("destinations: {host: a.example}", "destinations: {host: '*.example'}", "destinations"),
    ("destinations: {host: a.example, email: '*@a.example'}", "destinations: {host: a.example}", "destinations"),
    ("destinations: {host: a.example, path: /a/b}", "destinations: {host: a.example, path: /a}", "destinations"),
    ("redact: [args.x, args.y]", "redact: [args.x]", "redact"),
    ("predictors: [draft]", "predictors: [draft, sniffer]", "predictors"),
    ("match: {mode: exact}", "match: {mode: normalised, ignore: [x]}", "match"),
    ("match: {mode: normalised, fields: {a: upper}}", "match: {mode: normalised, fields: {a: upper, b: lower}}", "match"),
    ("reads: ['a:1', 'b:1']", "reads: ['a:1']", "reads"),
    ("timeout: 1s", "reads: ['a:1']", "reads"),
    ("writes: ['a:1', 'b:1']", "writes: ['a:1']", "writes"),
    ("cache: {ttl: 10s}", "cache: {ttl: 11s}", "cache.ttl"),
    ("cache: {ttl: 10s, scope: session}", "cache: {ttl: 10s, scope: public}", "cache.scope"),
    ("cache: {ttl: 10s}", "cache: {ttl: 10s, scope: thread}", "cache.scope"),
    ("cache: {ttl: 10s, scope: thread}", "cache: {ttl: 10s, scope: tenant}", "cache.scope"),
    ("cache: {ttl: 10s}", "timeout: 1s", "cache.ttl"),
    ("verify_sample: 0.5", "verify_sample: 0.1", "verify_sample"),
    ("version: {tool: v, with: {k: args.k}}", "timeout: 1s", "version"),
    ("limits: {max_concurrent: 2}", "limits: {max_concurrent: 3}", "limits.max_concurrent"),
    ("limits: {cost_usd: 2}", "limits: {cost_usd: 1}", "limits.cost_usd"),
    ("limits: {max_branches: 2}", "limits: {max_branches: 3}", "limits.max_branches"),
    ("limits: {max_per_minute: 2}", "timeout: 1s", "limits.max_per_minute"),
    ("limits: {undo_usd: 2}", "limits: {undo_usd: 1}", "limits.undo_usd"),
    ("limits: {visible_usd_per_second: 2}", "timeout: 1s", "limits.visible_usd_per_second"),
    ("timeout: 1s", "compensator_for: [x]", "compensator_for"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "setting"), PAIRS)
def test_looser_one_way_tighter_the_other(old: str, new: str, setting: str) -> None:
    assert changes(policy(old), policy(new)) == {f"t.{setting}": "looser"}
    assert changes(policy(new), policy(old)) == {f"t.{setting}": "tighter"}


CHANGED = [
    (UNDO % "", "timeout: 1s", "compensate"),
    (UNDO % "", UNDO % ", succeeded_when: 'true'", "compensate"),
    (UNDO % ", tolerates_missing: true, within: 1h", UNDO % ", within: 1h", "compensate"),
    (UNDO % ", within: 1h", UNDO % ", within: 2h", "compensate"),
    ("verify: {tool: v, with: {k: key}}", "timeout: 1s", "verify"),
    ("patch: {tool: p, fields: [a], with: {a: args.a}}", "timeout: 1s", "patch"),
    (
        "patch: {tool: p, fields: [a], with: {a: args.a}}",
        "patch: {tool: p, fields: [a], with: {a: args.a}, returns: result}",
        "patch",
    ),
    ("idempotency_key: k", "timeout: 1s", "idempotency_key"),
    ("version: {tool: v, with: {k: args.k}}", "version: {tool: w, with: {k: args.k}}", "version"),
    ("match: {mode: normalised, ignore: [x]}", "match: {mode: normalised, ignore: [y]}", "match"),
    ("reads: ['a:1']", "reads: ['b:1']", "reads"),
    ("effect: read_only", "effect: read_only, predictors: [sniffer]", "predictors"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "setting"), CHANGED)
def test_what_has_no_stricter_side_is_to_be_looked_at(old: str, new: str, setting: str) -> None:
    found = compare(policy(old), policy(new), calls=1)
    assert {(item.setting, item.direction) for item in found.changes} == {(setting, "changed")}
    assert found.loosened


def test_predictors_that_are_no_longer_named() -> None:
    assert changes(policy("predictors: [draft]"), policy("timeout: 1s")) == {"t.predictors": "looser"}
    assert changes(policy("timeout: 1s"), policy("predictors: [partial_call]")) == {"t.predictors": "tighter"}


TOPS = [
    ("defaults: {unlisted_tools: deny}", "", "defaults.unlisted_tools"),
    ("defaults: {confirm_unlisted: ask}", "", "defaults.confirm_unlisted"),
    ("defaults: {trust_annotations: false}", "", "defaults.trust_annotations"),
    ("defaults: {redact: [args.x]}", "", "defaults.redact"),
    ("", "trusted_mcp_servers: [github]", "trusted_mcp_servers"),
    ("", "defaults: {speculation: {min_confidence: 0.5}}", "defaults.speculation.min_confidence"),
    ("", "defaults: {speculation: {max_concurrent: 5}}", "defaults.speculation.max_concurrent"),
    ("", "defaults: {speculation: {max_wasted_usd: 1}}", "defaults.speculation.max_wasted_usd"),
    ("", "defaults: {speculation: {usd_per_second: 1}}", "defaults.speculation.usd_per_second"),
    ("", "defaults: {speculation: {max_branches: 65}}", "defaults.speculation.max_branches"),
    ("", "defaults: {speculation: {max_depth: 6}}", "defaults.speculation.max_depth"),
    ("defaults: {speculation: {max_result_bytes: 1}}", "", "defaults.speculation.max_result_bytes"),
    ("defaults: {speculation: {max_per_minute: 6}}", "", "defaults.speculation.max_per_minute"),
    ("defaults: {speculation: {verify_sample: 0.5}}", "", "defaults.speculation.verify_sample"),
    ("", "defaults: {speculation: {max_wasted_share: 1}}", "defaults.speculation.max_wasted_share"),
]


@pytest.mark.parametrize(("old", "new", "setting"), TOPS)
def test_defaults(old: str, new: str, setting: str) -> None:
    assert changes(policy("timeout: 1s", old), policy("timeout: 1s", new)) == {setting: "looser"}
    assert changes(policy("timeout: 1s", new), policy("timeout: 1s", old)) == {setting: "tighter"}


def test_how_it_runs_early_does_not_matter_where_it_never_does() -> None:
    old, new = "effect: deny, cache: {ttl: 1s}", "effect: deny, cache: {ttl: 2s}, redact: [args.x]"
    assert changes(policy(old), policy(new)) == {"t.redact": "tighter"}


def test_a_report_tells_both_values() -> None:
    lines = "\n".join(compare(policy("cache: {ttl: 10s}"), policy("cache: {ttl: 20s}"), calls=1).lines())
    assert "LOOSER settings\n  t.cache.ttl: 10.0 -> 20.0" in lines
    lines = "\n".join(compare(policy("verify_sample: 0.5"), policy("verify_sample: 0.1"), calls=1).lines())
    assert "t.verify_sample: 0.5 -> 0.1" in lines
    dear, cheap = (policy(f"limits: {{undo_usd: {cost}, visible_usd_per_second: {cost}}}") for cost in (2, 1))
    lines = "\n".join(compare(dear, cheap, calls=1).lines())
    assert "t.limits.undo_usd: 2 -> 1\n  t.limits.visible_usd_per_second: 2 -> 1" in lines
    lines = "\n".join(compare(policy("predictors: [draft]"), policy(UNDO % ""), calls=1).lines())
    assert "t.predictors: draft -> anyone" in lines
    assert "CHANGED settings: look at them\n  t.compensate: none -> undo(id: args.id)" in lines


@pytest.mark.parametrize(
    ("some", "others", "expected"),
    [
        ([], [], True),
        ([{"host": ("a.x",)}], [], False),
        ([{"host": ("a.x",)}], [{"host": ("*.x",)}], True),
        ([{"host": ("x",)}], [{"host": ("*.x",)}], False),
        ([{"host": ("*.a.x",)}], [{"host": ("*.x",)}], True),
        ([{"host": ("*.x",)}], [{"host": ("*.a.x",)}], False),
        ([{"host": ("a.x",)}, {"host": ("b.x",)}], [{"host": ("a.x",)}], True),
        ([{"host": ("a.x",)}], [{"host": ("a.x",)}, {"host": ("b.x",)}], False),
        ([{"path": ("/a/b",)}], [{"path": ("/a/",)}], True),
        ([{"path": ("/ab",)}], [{"path": ("/a",)}], False),
        ([{"email": ("*@a.x",)}], [{"host": ("a.x",)}], True),
        ([{"host": ("a.x",)}], [{"host": ("a.x",), "email": ("*@a.x",)}], False),
        # `*` lets no value from a result through, a name does.
        ([{"host": ("a.x",)}], [{"host": ("*",)}], False),
    ],
)  # fmt: skip
def test_whether_destinations_are_within_others(some: object, others: object, expected: bool) -> None:
    one, two = ([Destinations(**item) for item in several] for several in (some, others))  # type: ignore[attr-defined]
    assert within(one, two) is expected


@pytest.mark.parametrize(
    ("source", "path", "good", "bad"),
    [
        ("args.a > 5", ("args", "a"), [5.5, 6], [5, 4.5, 4]),
        ("5 >= args.a", ("args", "a"), [5, 4.5, 4], [5.5, 6]),
        ("args.a == -3", ("args", "a"), [-3], [-4, -2, -3.5, -2.5]),
        ("args['a b'].c != 'x'", ("args", "a b", "c"), ["xx", "", "X", " x"], ["x"]),
        ("args.a in ['x', 'y']", ("args", "a"), ["x", "y"], ["xx", "", "X", " x"]),
        ("'x' in args.a", ("args", "a"), [["x"], {"x": 1}], [[], {}]),
        ("has(args.a)", ("args", "a"), [1, "x"], [Absent.ABSENT]),
        ("size(args.a) > 1", ("args", "a"), ["xx", ["x", "x"]], ["x", ["x"], "", []]),
        ("args.a.size() >= 1", ("args", "a"), ["x", ["x"], "xx", ["x", "x"]], ["", []]),
        ("double(args.a) < 1.5", ("args", "a"), [1, 0.5], [1.5, 2, 2.5]),
        ("args.a.endsWith('b')", ("args", "a"), ["b", "xb"], ["", "y", "y"]),
        ("args.a.matches('^[A-Z]{2}[.]?x+$')", ("args", "a"), [], ["", "y[A-Z]{2}[.]?x+$", "y"]),
        ("args.a.matches('^[A-Z]{2}-1$')", ("args", "a"), ["AA-1"], ["", "y[A-Z]{2}-1$", "y"]),
        ("!args.a", ("args", "a"), [True], [False]),
        ("args.a ? true : false", ("args", "a"), [], []),
        ("args.a.contains(args.b)", ("args", "b"), [True], [False]),
        ("args.a > args.b", ("args", "a"), [], []),
        ("args.a.matches(\"x\")", ("args", "a"), ["x"], ["", "y", "y"]),
        ("args.b in args.a", ("args", "a"), [], []),
        ("args.a.contains(1)", ("args", "a"), [], []),
        ("args.a == b'x'", ("args", "a"), [None], []),
        ("args.a < true", ("args", "a"), [True], [True]),
        ("args[''] == 1 && args.a == 1", ("args", "a"), [1], [0, 2, 0.5, 1.5]),
        ("args['a' + 'b'] == 1 && args.a == 1", ("args", "a"), [1], [0, 2, 0.5, 1.5]),
    ],
)  # fmt: skip
def test_atoms(source: str, path: tuple[str, ...], good: list[object], bad: list[object]) -> None:
    found = [atom for atom in atoms(Cel(source, ON_CALL)) if atom.path == path]
    assert [list(atom.good) for atom in found] == ([good] if good or bad else [])
    assert [list(atom.bad) for atom in found] == ([bad] if good or bad else [])


def test_patterns_are_listed() -> None:
    assert patterns(Cel("args.a.matches('^x$') || args.b == 'y'", ON_CALL)) == ["^x$"]


def test_values_near_a_constant() -> None:
    assert around(5) == [5, 4, 6, 4.5, 5.5]
    assert around(True) == [True, False]
    assert around(None) == [None]
    assert around("2026-03-01") == [
        "2026-03-01",
        "2026-03-01x",
        "2026-03-0",
        " 2026-03-01",
        "2026-02-28",
        "2026-03-02",
    ]
    assert around("0001-01-01")[-1] == " 0001-01-01"
    assert between([3, 1, 1.5, True, "x"]) == [1.25]
    assert of_size(2) == ["xx", ["x", "x"]]
    assert of_size(100) == ["x" * 100]
    assert of_size(-1) == of_size("x") == of_size(10**9) == []
    assert sample_of("a|b") == []
    assert sample_of(r"^a\.b$") == ["a.b"]


def test_what_a_schema_suggests() -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 3, "exclusiveMaximum": 9},
            "s": {"type": ["string", "null"], "minLength": 2, "maxLength": 3, "format": "date"},
            "c": {"const": "k"},
            "d": {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/a~1b"}]},
            "l": {"type": "array", "items": {"enum": ["p"]}, "maxItems": 2},
            "o": {"type": "object", "properties": {"i": {"type": "number"}}},
            "w": True,
        },
        "$defs": {"a/b": {"type": "string", "default": "from-ref"}},
    }
    values, unvaried = fields_of(schema)
    assert {2, 3, 4, 8, 9, 10} <= set(values["n",])
    assert {None, "2026-01-31", "xx", "xxx", "xxxx", "x"} <= set(values["s",])
    assert values["c",] == ["k"]
    assert {True, False, "from-ref"} <= set(values["d",])
    assert ["p"] in values["l",]
    assert ["p"] * 3 in values["l",]
    assert ("o", "i") in values
    assert unvaried == ["args.w: its schema does not say what it holds"]


def test_a_schema_that_holds_itself_ends() -> None:
    lists = {"type": "array", "items": {"$ref": "#/$defs/l"}}
    values, _ = fields_of({"properties": {"x": {"$ref": "#/$defs/l"}}, "$defs": {"l": lists}})
    assert [] in values["x",]
    loop = {"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert fields_of(loop)[1] == ["args.x: its schema does not say what it holds"]
    many = {"type": "object", "properties": {"x": {"$ref": "#"}}}
    assert "levels deep" in fields_of(many)[1][-1]


def test_a_schema_that_cannot_be_used_is_fitted_by_nothing() -> None:
    tool = ToolSpec(name="t", parameters={"properties": {"x": {"$ref": "#/$defs/gone"}}})
    registry = ToolRegistry([tool])
    old, new = (
        loads(f"version: 1\ntools: {{t: {{effect: {effect}}}}}\n", tools=registry)
        for effect in ("deny", "read_only")
    )
    assert {item.fits for item in compare(old, new, tools=registry, calls=50).looser} <= {True, False}


def test_many_fields_are_sampled() -> None:
    schema = {"properties": {f"f{index}": {"type": "integer"} for index in range(30)}}
    tool = ToolSpec(name="t", parameters=schema)
    registry = ToolRegistry([tool])
    old, new = (
        loads(f"version: 1\ntools: {{t: {{effect: {effect}}}}}\n", tools=registry)
        for effect in ("deny", "read_only")
    )
    tried = compare(old, new, tools=registry, calls=30).tried[0]
    assert tried.pairs > 40_000
    assert 0 < tried.covered < tried.pairs


def test_what_is_too_large_is_told() -> None:
    many = {"properties": {f"f{index}": {"type": "string"} for index in range(MAX_FIELDS + 1)}}
    values, unvaried = fields_of(many)
    assert len(values) == MAX_FIELDS
    assert "more than 40 fields" in unvaried[0]
    deep: dict[str, object] = {"type": "string"}
    for _ in range(6):
        deep = {"type": "object", "properties": {"x": deep}}
    assert "levels deep" in fields_of(deep)[1][0]


def test_a_domain_is_bounded_and_holds_wrong_types() -> None:
    options = ", ".join(f'"w{index}"' for index in range(80))
    found = loads(
        f"version: 1\ntools:\n  t:\n    effect: read_only\n    rules: [{{id: r, when: 'args.x in [{options}]', require: {{effect: deny}}}}]\n"
    )
    tool = ToolSpec(name="t", parameters={"type": "object", "properties": {"x": {"type": "string"}}})
    area = domain(tool, [found.plan("t", tool)])
    values = area.values["args", "x"]
    assert len(values) <= MOST_VALUES
    assert "w0" in values
    assert UNREADABLE in values
    assert any("values" in text for text in area.unvaried)


def test_a_destination_is_a_value() -> None:
    found = policy(
        "effect: read_only, destinations: {host: '*.a.example', email: '*@b.example', path: /srv/*}"
    )
    values = domain(None, [found.plan("t", None, registered=True)]).values["args", "anything"]
    assert {"https://any.a.example/x", "any@b.example", "/srv/x", "https://elsewhere.example/x"} <= {
        value for value in values if isinstance(value, str)
    }


def test_an_empty_registry_has_nothing_to_try() -> None:
    report = compare(policy(UNDO % ""), policy("timeout: 1s"), tools=ToolRegistry())
    assert report.tried == ()
