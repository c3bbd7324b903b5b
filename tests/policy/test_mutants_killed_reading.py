"""Each of these fails for a small fault in reading expressions or in merging files that no other test saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import PolicyError
from specflow.policy import Policy, load, loads
from specflow.policy.cel_scan import CelSyntaxError, scan
from specflow.policy.condition import Cel
from specflow.policy.fields import ON_CALL
from specflow.policy.finding import Finding
from specflow.policy.settings import Budgets


def refused(source: str) -> str:
    with pytest.raises(CelSyntaxError) as caught:
        Cel(source, ON_CALL)
    return str(caught.value)


# Expressions


def test_brackets_may_nest_sixteen_deep_and_stand_beside_each_other() -> None:
    Cel("(" * 16 + "true" + ")" * 16, ON_CALL)
    assert "nested more than 16 deep" in refused("(" * 17 + "true" + ")" * 17)
    assert "nested more than 16 deep" in refused("!(" * 17 + "true" + ")" * 17)
    Cel(" && ".join(["(args.a == [1][0])"] * 30), ON_CALL)
    Cel(f"args.a == '{'(' * 40}'", ON_CALL)
    assert "nested more than 16 deep" in refused("'))))' == '' || " + "(" * 17 + "true" + ")" * 17)
    # What was closed before makes no room.
    assert "nested more than 16 deep" in refused("(true) && " * 30 + "(" * 17 + "true" + ")" * 17)


@pytest.mark.parametrize("name", ["all", "exists", "exists_one", "existsOne", "map", "filter"])
def test_loops_are_named_as_such(name: str) -> None:
    assert "loops over data" in refused(f"args.a.{name}(x, x > 1)")


@pytest.mark.parametrize("name", ["int", "uint", "double", "string", "bytes", "bool", "list", "null_type"])
def test_types_may_be_compared_with(name: str) -> None:
    Cel(f"type(args.a) == {name}", ON_CALL)


@pytest.mark.parametrize("source", ["args.a.matches('x'", "args.a.matches(", "args['a'", "args[", "args."])
def test_text_that_ends_too_early_is_a_syntax_error(source: str) -> None:
    assert refused(source)


def test_matches_is_a_method_wherever_it_stands() -> None:
    assert "matches needs its pattern written out" in refused("true && matches('x')")
    assert "matches needs its pattern written out" in refused("matches('x')")


@pytest.mark.parametrize("code", ["\\x41", "\\u0041", "\\U00000041", "\\101"])
def test_a_pattern_may_not_hide_characters(code: str) -> None:
    assert "hides characters" in refused(f"args.a.matches('{code}')")


def test_a_pattern_is_written_out_and_not_a_name() -> None:
    assert "matches needs its pattern written out" in refused("args.a.matches(args)")
    Cel("args.matches == '('", ON_CALL)


def test_the_place_of_a_strange_character_is_told() -> None:
    assert refused("args.a == @") == "unexpected '@' at character 11"


def test_a_member_of_a_value_in_braces_may_be_read() -> None:
    Cel("{'a': args.b}.a == 1", ON_CALL)
    Cel("[args.b][0].a == 1", ON_CALL)


def test_repetitions_multiply_even_beside_none() -> None:
    assert "multiply to more than 64" in refused("args.a.matches('a{0}b{65}')")
    Cel("args.a.matches('a{0}b{64}')", ON_CALL)


def test_a_pattern_may_have_256_characters_with_its_quotes() -> None:
    Cel(f"args.a.matches('{'a' * 254}')", ON_CALL)
    assert "longer than 256" in refused(f"args.a.matches('{'a' * 255}')")


def test_a_path_ends_where_it_is_no_longer_plain() -> None:
    assert scan("args['a' + 'b'] == 1").paths == {("args",)}
    assert scan("args['a']['b'].c == 1").paths == {("args", "a", "b", "c")}
    assert scan("1 == args['a']").paths == {("args", "a")}
    assert scan("[args.a + 'b'][0] == 'x'").paths == {("args", "a")}
    assert scan("args['a'][0].c == 1").paths == {("args", "a")}
    assert scan("args[r'a'] == 1").paths == {("args",)}
    assert scan("args[b'a'].c == 1").paths == {("args",)}


def test_an_empty_name_is_no_part_of_a_path() -> None:
    assert scan("args[''] == 1").paths == {("args",)}
    assert scan("args.a[''].b == 1").paths == {("args", "a")}


def test_null_is_a_word_and_no_name() -> None:
    assert scan("args.a == null").roots == {"args"}
    Cel("args.a == null", ON_CALL)


def test_classes_of_characters_are_no_repetitions() -> None:
    Cel("args.a.matches(r'" + r"\p{Lu}" * 8 + "')", ON_CALL)


def test_an_expression_may_have_two_thousand_characters() -> None:
    Cel("true".ljust(2_000), ON_CALL)
    assert "longer than 2,000" in refused("true".ljust(2_001))


# Files and tools


def test_a_file_is_read_with_the_tools_in_mind(tmp_path: Path) -> None:
    (path,) = write(tmp_path, "tools: {t: {effect: compensatable, compensate: {tool: u, with: {a: args.a}}}}")
    alone = ToolRegistry([ToolSpec(name="t")])
    with pytest.raises(PolicyError, match="unknown tool 'u'"):
        load(path, tools=alone)
    both = ToolRegistry([ToolSpec(name="t"), ToolSpec(name="u")])
    assert load(path, tools=both).tools is both


def test_a_policy_knows_where_it_came_from(tmp_path: Path) -> None:
    (path,) = write(tmp_path, "tools: {}")
    assert load(path).files == (str(path),)
    assert loads("version: 1\n", file="inline.yaml").files == ("inline.yaml",)


# Several files


def write(folder: Path, *texts: str) -> list[Path]:
    paths = [folder / f"{index}:p.yaml" for index in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(f"version: 1\n{text}\n")
    return paths


def both(folder: Path, one: str, two: str) -> Policy:
    found = load(write(folder, one, two))
    assert found.hash == load(write(folder, two, one)).hash
    return found


def test_one_file_is_enough_to_be_strict(tmp_path: Path) -> None:
    defaults = both(tmp_path, "defaults: {trust_annotations: false}", "defaults: {trust_annotations: true}")
    assert defaults.compiled.defaults.trust_annotations is False
    defaults = both(tmp_path, "defaults: {confirm_unlisted: ask}", "defaults: {confirm_unlisted: host}")
    assert defaults.compiled.defaults.confirm_unlisted == "ask"
    money = [
        f"defaults: {{speculation: {{max_wasted_usd: {amount}, max_concurrent: {amount}}}}}"
        for amount in (1, 2)
    ]
    assert both(tmp_path, *money).budgets.max_wasted_usd == 1
    assert both(tmp_path, *money).budgets.max_concurrent == 1


@pytest.mark.parametrize(
    ("field", "one", "two"),
    [
        ("compensate", "{tool: u, with: {a: args.a}}", "{tool: u, with: {a: args.b}}"),
        ("verify", "{tool: u, with: {a: key}}", "{tool: v, with: {a: key}}"),
        ("patch", "{tool: u, fields: [a], with: {a: args.a}}", "{tool: v, fields: [a], with: {a: args.a}}"),
        ("match", "{mode: exact}", "{mode: normalised}"),
        ("idempotency_key", "k", "l"),
        ("version", "{tool: u, with: {a: args.a}}", "{tool: v, with: {a: args.a}}"),
    ],
)
def test_a_contradiction_is_told_where_it_stands(tmp_path: Path, field: str, one: str, two: str) -> None:
    paths = write(tmp_path, f"tools: {{t: {{{field}: {one}}}}}", f"tools: {{t: {{{field}: {two}}}}}")
    with pytest.raises(PolicyError) as caught:
        load(paths)
    (finding,) = caught.value.facts["findings"]  # type: ignore[misc]
    assert isinstance(finding, Finding)
    assert (finding.file, finding.line, finding.column) == (str(paths[1]), 2, 9)
    assert (finding.path, finding.code) == (f"tools.t.{field}", "conflict")
    assert str(paths[0]) in finding.message
    same = write(tmp_path, f"tools: {{t: {{{field}: {one}}}}}", f"tools: {{t: {{{field}: {one}}}}}")
    assert load(same)


def test_names_and_patterns_are_kept_apart() -> None:
    found = loads("version: 1\ntools: {t: {effect: deny}, 't*': {effect: deny}}\n").compiled
    assert set(found.exact) == {"t"}
    assert [entry.pattern for _, entry in found.wild] == ["t*"]
    assert len(found.entries_for("t")) == 2


def test_the_order_of_a_mapping_does_not_change_the_hash() -> None:
    texts = [
        f"version: 1\ntools: {{t: {{compensate: {{tool: u, with: {{{mapping}}}}}}}}}\n"
        for mapping in ("a: args.a, b: args.b", "b: args.b, a: args.a")
    ]
    assert loads(texts[0]).hash == loads(texts[1]).hash


NAMES = [f"n{letter}" for letter in "hgfedcba"]
EVERY_DEFAULT = f"""version: 1
defaults:
  unlisted_tools: deny
  confirm_unlisted: ask
  trust_annotations: false
  timeout: 7s
  redact: [{", ".join(f"args.{name}" for name in NAMES)}]
  speculation: {{min_confidence: 0.7, max_concurrent: 3, max_wasted_usd: 0.5}}
trusted_mcp_servers: [{", ".join(NAMES)}]
tools: {{}}
"""


def test_the_hash_of_a_policy_does_not_change_by_accident() -> None:
    """Approvals are bound to it: when this changes on purpose, say so under Safety in the changelog."""
    found = loads(EVERY_DEFAULT)
    assert found.hash == "1f8484dbd9ab2d9247f1a8027327e9c15d190c697534ed4450c5d09a9f1642bf"
    assert found.compiled.defaults.redact == tuple(f"args.{name}" for name in sorted(NAMES))


LATER = {
    "usd_per_second": 0.5,
    "max_branches": 5,
    "max_depth": 2,
    "max_result_bytes": 5,
    "max_per_minute": 5,
    "max_wasted_share": 0.5,
}


@pytest.mark.parametrize("name", LATER)
def test_a_budget_that_came_later_is_in_the_hash_where_it_is_used(name: str) -> None:
    def hash_with(value: object) -> str:
        return loads(f"version: 1\ndefaults: {{speculation: {{{name}: {value}}}}}\n").hash

    assert hash_with(LATER[name]) != loads("version: 1\n").hash
    assert hash_with(getattr(Budgets(), name)) == loads("version: 1\n").hash


@pytest.mark.parametrize(
    "line",
    [line for line in EVERY_DEFAULT.splitlines() if ": " in line and line[:7] not in {"version", "tools: "}],
)
def test_every_default_is_in_the_hash(line: str) -> None:
    assert loads(EVERY_DEFAULT.replace(f"{line}\n", "", 1)).hash != loads(EVERY_DEFAULT).hash
