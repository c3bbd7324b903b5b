"""Loading: every bad file gets findings with places, and none ends the process."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import PolicyError
from specflow.policy import Finding, load, loads, source, yaml_events
from specflow.policy.load import survey
from specflow.policy.yaml_events import parse

GOOD = "version: 1\ntools:\n  search: {effect: read_only}\n"


def findings_of(text: str, **options: Any) -> list[Finding]:
    with pytest.raises(PolicyError) as caught:
        loads(text, file="p.yaml", **options)
    found = caught.value.facts["findings"]
    assert isinstance(found, list)
    assert str(found[0]) in str(caught.value)
    return found


def one(text: str, **options: Any) -> str:
    found = findings_of(text, **options)
    assert len(found) == 1, found
    return f"{found[0].line}:{found[0].column} {found[0].code} {found[0].path} {found[0].message}"


CORPUS = [
    ("", "1:1 empty"),
    ("# nothing\n", "1:1 empty"),
    ("---\n---\n", "2:1 documents"),
    ("version: 1\n---\nversion: 1\n", "2:1 documents"),
    ("%YAML 1.2\n---\nversion: 1\n", "directive"),
    ("version: &a 1\n", "1:10 anchor"),
    ("version: !!int 1\n", "1:10 tag"),
    ("version: ! 1\n", "1:10 tag"),
    ("version: 1\ntools: {a: {effect: *x}}\n", "2:21 alias tools.a.effect"),
    ("version: 1\n*x : 1\n", "alias"),
    ("version: 1\nversion: 1\n", "2:1 duplicate_key"),
    ('version: 1\n"version": 1\n', "2:1 duplicate_key"),
    ("version: 1\n? [a]\n: 1\n", "2:3 key"),
    ("version: 1\n? {a: b}\n: 1\n", "2:3 key"),
    ("version: 1\n\ttools: {}\n", "yaml"),
    ("version: 1\ntools: {\n", "yaml"),
    ("version: 'x\n", "yaml"),
    ("version: 1: 2\n", "1:11 yaml"),
    ("version: 1\0\n", "1:11 character"),
    ("version: 1\x07\n", "1:11 character"),
    ("version: 1 # \u202e\n", "1:14 character"),
    ("version: \ud800\n", "yaml"),
    ("[" * 50_000, "1:33 too_deep"),
    ("{" * 50_000, "1:2 key"),
    ("- " * 50_000, "1:65 too_deep"),
    ("? " * 50_000, "too_deep|key"),
    ("[" + "a," * 60_000 + "]", "too_many_nodes"),
    ("version: 99999999999999999999\n", "1:10 number"),
    ("just text\n", "value  must be a mapping, not 'just text'"),
    ("[1, 2]\n", "value  must be a mapping, not a list"),
    ("version: 2\n", "1:10 value version must be 1, not the number 2"),
    ("version: '1'\n", "1:10 value version must be 1"),
    ("version: 010\n", "1:10 value version must be 1, not '010'"),
    ("version: yes\n", "not 'yes'"),
    ("version: true\n", "not 'true'"),
    ("version: 1.0\n", "not '1.0'"),
    ("version: null\n", "not nothing"),
    ("version: 1\ntrusted_mcp_servers: true\n", "must be a list, not true"),
    ("version: 1\ntrusted_mcp_servers: {a: 1}\n", "must be a list, not a mapping"),
    ("version: 1\ntools: {a: {idempotency_key: ''}}\n", "at least 1 character"),
    ("version: 1\ntools: {a: {cache: {scoep: session, ttl: 1s}}}\n", "did you mean 'scope'"),
    ("version: 1\ntools: {a: {destinations: {hots: x}}}\n", "did you mean 'host'"),
    ("version: 1\ntools: {a: {destinations: {host: 1}}}\n", "must be text, not the number 1"),
    ("version: 1\ndefaults: {speculation: {min_confidense: 1}}\n", "did you mean 'min_confidence'"),
    ("tools: {}\n", "missing_field version is required"),
    ("version: 1\ntoolz: {}\n", r"2:1 unknown_field toolz unknown field 'toolz' \(did you mean 'tools'\?\)"),
    ("version: 1\ntools:\n", "2:7 value tools must be a mapping, not nothing"),
    ("version: 1\ntools: {a: yes}\n", "2:12 value tools.a must be a mapping, not 'yes'"),
    ("version: 1\ntools: {a b: {}}\n", "2:9 value tools.a b must be the name of a tool"),
    ("version: 1\ntools: {'*a*b*c*': {}}\n", "at most three"),
    ("version: 1\ntools: {a: {effect: readonly}}\n", r"2:21 value tools.a.effect must be .*did you mean 'read_only'"),
    ("version: 1\ntools: {a: {compensate: {tol: b}}}\n", "tools.a.compensate"),
    ("version: 1\ntools: {a: {timeout: 5 minutes}}\n", "must be a duration"),
    ("version: 1\ntools: {a: {timeout: 0}}\n", "longer than nothing"),
    ("version: 1\ntools: {a: {timeout: 400d}}\n", "no longer than 366d"),
    ("version: 1\ntools: {a: {timeout: true}}\n", "must be a duration"),
    ("version: 1\ntools: {a: {timeout: [1]}}\n", "must be a duration"),
    ("version: 1\ntools: {a: {min_confidence: 1.5}}\n", "less than or equal to 1"),
    ("version: 1\ntools: {a: {min_confidence: .nan}}\n", "must be a number, not '.nan'"),
    ("version: 1\ntools: {a: {limits: {max_concurrent: 1.5}}}\n", "whole number"),
    ("version: 1\ntools: {a: {reads: ['x:{y}']}}\n", r"\{args.name\}"),
    ("version: 1\ntools: {a: {reads: ['x:{args.y']}}\n", "resource key"),
    ("version: 1\ntools: {a: {reads: ['']}}\n", "resource key"),
    ("version: 1\ntools: {a: {redact: [api_key]}}\n", "must be a path"),
    ("version: 1\ntools: {a: {reviewed: abc}}\n", "64 hex digits"),
    ("version: 1\ntools: {'a*': {reviewed: " + "a" * 64 + "}}\n", "reviewed_pattern"),
    ("version: 1\ntools: {a: {destinations: {}}}\n", "host, an email or a path"),
    ("version: 1\ntools: {a: {destinations: {host: []}}}\n", "host is empty"),
    ("version: 1\ntools: {a: {rules: [{id: 'a b', when: 'true', require: {effect: deny}}]}}\n", "letters, digits"),
    ("version: 1\ntools: {a: {rules: [{id: a, when: 'true'}]}}\n", "either allow or require"),
    ("version: 1\ntools: {a: {rules: [{id: a, when: 'true', require: {}}]}}\n", "must require"),
    ("version: 1\ntools: {a: {rules: [{id: a, when: 3, require: {effect: deny}}]}}\n", "expression in quotes"),
    ("version: 1\ntools: {a: {rules: [{id: a, when: 'true', allow: {speculate: now, effect: read_only}}]}}\n", "allow can loosen speculate only"),
    ("version: 1\ntools: {a: {rules: [{id: a, when: 'true', require: {effect: deny}}, {id: a, when: 'true', require: {effect: deny}}]}}\n", "two rules are called 'a'"),
    ("version: 1\ntools: {a: {match: {mode: normalised, fields: {x: uper}}}}\n", "did you mean 'upper'"),
    ("version: 1\ntests: [{name: x, call: {tool: a}, expect: {}}]\n", "expect something"),
    ("version: 1\ntests: [{name: x, call: {tool: a, argz: {}}, expect: {effect: deny}}]\n", "did you mean 'args'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CORPUS, ids=[repr(text[:40]) for text, _ in CORPUS])
def test_bad_input_is_found_where_it_stands(text: str, expected: str) -> None:
    import re

    found = findings_of(text)
    shown = [f"{item.line}:{item.column} {item.code} {item.path} {item.message}" for item in found]
    assert any(re.search(expected, line) for line in shown), shown
    assert all(item.file == "p.yaml" for item in found)


def test_every_error_comes_in_one_run() -> None:
    text = (
        "version: 1\n"
        "defaults: {unlisted_tools: alow}\n"
        "tools:\n"
        "  a: {effect: read_onyl, timeout: soon}\n"
        "  book:\n"
        "    compensate: {tool: c, with: {x: foo.bar, y: 'args.'}}\n"
        "    rules:\n"
        "      - {id: r, when: 'args.l.all(x, x)', require: {effect: deny}}\n"
        "  b: {efect: 1}\n"
    )
    places = [(item.line, item.path) for item in findings_of(text)]
    assert places == [
        (2, "defaults.unlisted_tools"),
        (4, "tools.a.effect"),
        (4, "tools.a.timeout"),
        (6, "tools.book.compensate.with.x"),
        (6, "tools.book.compensate.with.y"),
        (8, "tools.book.rules[0].when"),
        (9, "tools.b.efect"),
    ]


def test_anchors_tags_and_duplicates_are_found_together() -> None:
    codes = [item.code for item in findings_of("a: &x 1\nb: !t 2\na: 3\nc: *x\n")]
    assert codes == ["anchor", "tag", "duplicate_key", "alias"]


def test_findings_are_bounded() -> None:
    assert len(findings_of("- &a 1\n" * 1000)) == yaml_events.MAX_FINDINGS
    assert len(findings_of("\x01" * 1000)) == yaml_events.MAX_FINDINGS


def test_the_message_names_the_file_as_the_design_shows() -> None:
    text = "version: 1\ntools:\n  book_flight:\n    compensate:\n      tool: cancel_flihgt\n      with: {}\n"
    tools = ToolRegistry([ToolSpec(name="book_flight"), ToolSpec(name="cancel_flight")])
    with pytest.raises(PolicyError) as caught:
        loads(text, file="policies/travel.yaml", tools=tools)
    assert str(caught.value) == (
        "policies/travel.yaml:5:13 tools.book_flight.compensate.tool: unknown tool 'cancel_flihgt' "
        "(did you mean 'cancel_flight'?)"
    )


SCALARS = [
    ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("010", "010"), ("0x1F", "0x1F"),
    ("0o17", "0o17"), ("1_000", "1_000"), ("12:30:45", "12:30:45"), ("2026-01-01", "2026-01-01"), ("1e3", "1e3"),
    (".5", ".5"), ("5.", "5."), ("+5", "+5"), (".inf", ".inf"), (".nan", ".nan"), ("tRue", "tRue"), ("-0", 0),
    ("1.5", 1.5), ("-1.5e3", -1500.0), ("12", 12), ("-12", -12), ("true", True), ("FALSE", False), ("~", None),
    ("null", None), ("'true'", "true"), ('"12"', "12"), ("<<", "<<"), ("=", "="), ("1.0e999", "1.0e999"),
]  # fmt: skip


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize(("written", "meant"), SCALARS)
def test_scalars_hold_no_surprises(written: str, meant: Any, python: bool) -> None:
    parsed = parse(f"a: {written}\n", "f", python=python)
    assert not parsed.findings
    assert parsed.data == {"a": meant}
    assert type(parsed.data["a"]) is type(meant)


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parse("on: 1\n010: 2\ntrue: 3\n~: 4\n1.5: 5\n<<: {a: 1}\n", "f").data == {
        "on": 1, "010": 2, "true": 3, "~": 4, "1.5": 5, "<<": {"a": 1}
    }  # fmt: skip


def test_both_parsers_agree_and_the_slow_one_is_used_when_libyaml_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "version: 1\ntools:\n  a: {effect: read_only, reads: ['x:{args.y}']}\ntests: []\n"
    fast, slow = parse(text, "f"), parse(text, "f", python=True)
    assert (fast.data, fast.spot, fast.findings) == (slow.data, slow.spot, slow.findings)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    again = parse(text, "f")
    assert (again.data, again.spot) == (fast.data, fast.spot)
    assert parse("[" * 50_000, "f").findings[0].code == "too_deep"


def test_a_parser_that_gives_up_before_it_is_too_deep_is_not_the_last_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As libyaml does from PyYAML 6.0.4 on: it reads ahead, and says only that it is too deep for itself."""

    class GivesUp:
        def __init__(self, _text: str) -> None:
            pass

        def get_event(self) -> object:
            raise yaml.scanner.ScannerError(problem="exceeded maximum nesting depth")

    monkeypatch.setattr(yaml_events, "_c_parser", lambda: GivesUp)
    (finding,) = parse("[" * 50_000, "f").findings
    assert (finding.code, finding.line, finding.column) == ("too_deep", 1, 33)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    parsed = parse(text, "f")
    assert all(item.message and item.line >= 1 and item.column >= 1 for item in parsed.findings)


@pytest.mark.parametrize("prefix", ["\ufeff", ""])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_byte_order_mark_and_windows_line_ends_are_fine(prefix: str, newline: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes((prefix + GOOD.replace("\n", newline)).encode())
    assert load(file).hash == loads(GOOD).hash


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"version: 1\n# \xff\n", "2:3 encoding"),
        (b"\xff\xfev\0e\0", "1:1 encoding"),
        (b"version: 1\n" + b"#" * (1024 * 1024), "0:0 too_large"),
        (b"", "1:1 empty"),
        (b"\0\0\0", "1:1 character"),
    ],
)
def test_files_that_are_not_text(data: bytes, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes(data)
    found = survey(file).findings[0]
    assert f"{found.line}:{found.column} {found.code}" == expected
    assert found.file == str(file)


def test_one_mebibyte_is_still_read(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes(GOOD.encode() + b"#" * (1024 * 1024 - len(GOOD)))
    assert load(file).hash == loads(GOOD).hash


def code(path: Any) -> str:
    return survey(path).findings[0].code


def test_files_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / ".hidden.yaml").write_text("x")
    assert code(tmp_path / "none.yaml") == "not_found"
    assert code(tmp_path / "none" / "x.yaml") == "not_found"
    assert "loop of symbolic links" in survey(loop).findings[0].message
    assert code(pipe) == "not_a_file"
    assert code("/dev/null") == "not_a_file"
    assert code(empty) == "empty_folder"
    assert code([]) == "not_found"
    assert code("a\0b") == "not_readable"
    assert code("x" * 5000) == "not_readable"

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "p.yaml"
    file.write_text(GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(source.os, "read", refuse)
        assert survey(file).findings[0].message == "cannot be read: Permission denied"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", refuse)
        assert code(tmp_path) == "not_readable"


def test_a_file_that_changes_while_it_is_read_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(GOOD)
    real = os.read

    def read_and_grow(handle: int, count: int) -> bytes:
        data = real(handle, count)
        if data == GOOD.encode():
            with file.open("a") as more:
                more.write("  other: {effect: read_only}\n")
        return data

    monkeypatch.setattr(source.os, "read", read_and_grow)
    assert source.read(file).code == "changed"  # type: ignore[union-attr] - a str has no code, and fails


def test_a_file_written_to_all_the_time_is_whole_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(GOOD)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            file.write_text(GOOD)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            found = source.read(file)
            assert found in (GOOD, "") or isinstance(found, Finding)
    finally:
        stop.set()
        writer.join()


def test_folders_and_several_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1\ntools: {a: {effect: read_only}}\n")
    (tmp_path / "b.yml").write_text("version: 1\ntools: {a: {effect: deny}}\n")
    (tmp_path / "c.txt").write_text("not a policy")
    found = load(tmp_path)
    assert [Path(name).name for name in found.files] == ["a.yaml", "b.yml"]
    assert load([tmp_path / "b.yml", tmp_path / "a.yaml"]).hash == found.hash
    assert load(str(tmp_path)).hash == found.hash
    assert load("version: 1\ntools: {a: {effect: deny}}").files == ("<text>",)


def test_too_many_files(tmp_path: Path) -> None:
    for index in range(source.MAX_FILES + 1):
        (tmp_path / f"{index}.yaml").write_text("version: 1\n")
    assert [item.code for item in survey(tmp_path).findings] == ["too_many_files"]


def test_contradicting_files_are_told(tmp_path: Path) -> None:
    for name, key in (("a", "k1"), ("b", "k2"), ("c", "k1")):
        (tmp_path / f"{name}.yaml").write_text(f"version: 1\ntools:\n  t: {{idempotency_key: {key}}}\n")
    found = survey(tmp_path).findings
    assert [(Path(item.file).name, item.line, item.code) for item in found] == [
        ("b.yaml", 3, "conflict"),
        ("c.yaml", 3, "conflict"),
    ]
    assert "a.yaml:3:3" in found[0].message
    assert not survey([tmp_path / "a.yaml", tmp_path / "c.yaml"]).findings


def test_a_good_and_a_bad_file_are_refused_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text("version: 2\n")
    with pytest.raises(PolicyError):
        load(tmp_path)


def test_many_findings_are_listed_whole_and_shown_in_part() -> None:
    text = "version: 1\n" + "".join(f"x{index}: 1\n" for index in range(80))
    with pytest.raises(PolicyError) as caught:
        loads(text)
    assert len(caught.value.facts["findings"]) == 80  # type: ignore[arg-type] - a list
    assert "(and 30 more)" in str(caught.value)


def test_the_hash_is_over_meaning(tmp_path: Path) -> None:
    base = "version: 1\ntools: {a: {effect: read_only, timeout: 1s}, b: {effect: deny}}\n"
    same = "# said otherwise\nversion: 1\ntools:\n  b: {effect: deny}\n  a:\n    timeout: 1000ms\n    effect: read_only\n"
    tests = "tests: [{name: x, call: {tool: a}, expect: {effect: read_only}}]\n"
    assert loads(base).hash == loads(same).hash == loads(base + tests).hash
    changes = ["effect: compensatable, timeout: 1s", "effect: read_only, timeout: 2s", "effect: read_only, timeout: 1s, retries: {max: 0}", "effect: read_only, timeout: 1s, predictors: []"]  # fmt: skip
    hashes = {loads(base.replace("effect: read_only, timeout: 1s", change)).hash for change in changes}
    assert len(hashes | {loads(base).hash}) == len(changes) + 1
